import type { ImageRow } from "../../catalog/images.ts";
import { compileImageGlob, compileRepositoryGlob, compileTagGlob } from "../../lib/glob.ts";
import { compilePlainGlob } from "../../lib/plain-glob.ts";
import { ValueError } from "../../lib/value-error.ts";
import { isHost } from "../../oci/image-name.ts";
import { InventoryError } from "./errors.ts";
import type { ImageFilter } from "./image.ts";

export type Matches = (row: ImageRow) => boolean;

/** Everything of a filter but sizes and the registry. */
export function compileFilter({ repository, tag, text, notPulledSinceMs }: ImageFilter): Matches {
  const tests: Matches[] = [];
  if (repository !== undefined) {
    const isRepository = compiled("repository", () => readersGlob(repository, compileRepositoryGlob));
    // People copy the whole names that lists print.
    const isWhole = isHost(repository.split("/")[0] ?? "");
    tests.push((row) => isRepository(isWhole ? `${row.serves}/${row.repository}` : row.repository));
  }
  if (tag !== undefined) {
    const isTag = compiled("tag", () => readersGlob(tag, compileTagGlob));
    tests.push((row) => row.tags.some((one) => isTag(one.tag)));
  }
  if (text !== undefined && text !== "") tests.push(GLOB.test(text) ? fits(text) : contains(text.toLowerCase()));
  if (notPulledSinceMs !== undefined) tests.push((row) => (row.lastPulledAtMs ?? row.heldAtMs) < notPulledSinceMs);
  return (row) => tests.every((test) => test(row));
}

/** Whoever may read may ask for any pattern, and none of them may hold up everybody else. */
function readersGlob(pattern: string, compile: (pattern: string) => unknown): (text: string) => boolean {
  compile(pattern);
  return pattern === "*" ? () => true : compilePlainGlob(pattern);
}

const GLOB = /[*?[\]{}]/;

/** As pins and eviction take globs; one that begins with no registry is of all of them. */
function fits(text: string): Matches {
  const [first = ""] = text.split("/");
  const isRooted = first === "localhost" || (text.includes("/") && /[.:*?[{]/.test(first)) || first.startsWith("*");
  const pattern = isRooted ? text : `**/${text}`;
  const colon = pattern.indexOf(":", pattern.lastIndexOf("/") + 1);
  const path = colon === -1 ? pattern : pattern.slice(0, colon);
  const isPath = compiled("text", () => {
    compileImageGlob(pattern);
    return readersGlob(path, compileImageGlob);
  });
  const isTag =
    colon === -1 ? undefined : compiled("text", () => readersGlob(pattern.slice(colon + 1), compileTagGlob));
  return ({ serves, repository, tags }) =>
    isPath(`${serves}/${repository}`) && (isTag === undefined || tags.some(({ tag }) => isTag(tag)));
}

function contains(text: string): Matches {
  return (row) => {
    const path = `${row.serves}/${row.repository}`;
    if (path.includes(text) || row.digest.startsWith(text) || row.digest.startsWith(`sha256:${text}`)) return true;
    return row.tags.some(({ tag }) => `${path}:${tag}`.toLowerCase().includes(text));
  };
}

function compiled<T>(parameter: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (error instanceof ValueError) throw new InventoryError(parameter, `${parameter} ${error.message}`);
    throw error;
  }
}
