import { badRequest } from "../../server/problem.ts";

/** A path of the document, such as `/api/v1/images/{reference}`, and what may be done with it. */
export interface Template {
  readonly path: string;
  readonly method: string;
}

export interface FoundPath {
  readonly methods: readonly string[];
  /** The path with its parameter as one segment. */
  readonly path: string;
}

/** The last parameter of these is the rest of the path, since images have slashes in their names. */
const RESTS = ["/{reference}"];

/**
 * What is meant by a path. Where the rest of it is one parameter, its slashes may stand there as they are or encoded: proxies
 * decode them, and people do not write them so.
 */
export class Routes {
  readonly #methods = new Map<string, string[]>();

  constructor(templates: readonly Template[]) {
    for (const { path, method } of templates) {
      const methods = this.#methods.get(path) ?? [];
      this.#methods.set(path, [...methods, method.toUpperCase()]);
    }
  }

  find(path: string): FoundPath | undefined {
    for (const [template, methods] of this.#methods) {
      const rest = RESTS.find((one) => template.endsWith(one));
      if (rest !== undefined) {
        const prefix = template.slice(0, 1 - rest.length);
        if (!path.startsWith(prefix) || path.length === prefix.length) continue;
        return { methods, path: prefix + encodeURIComponent(decoded(path.slice(prefix.length))) };
      }
      if (fits(template, path)) return { methods, path };
    }
    return undefined;
  }
}

function fits(template: string, path: string): boolean {
  const [wanted, given] = [template.split("/"), path.split("/")];
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => (part.startsWith("{") ? given[index] !== "" : part === given[index]))
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badRequest("the path has a malformed percent encoding");
  }
}
