import type { ImageRow } from "../../catalog/images.ts";
import { compileRepositoryGlob, compileTagGlob } from "../../lib/glob.ts";
import { compilePlainGlob } from "../../lib/plain-glob.ts";
import { ValueError } from "../../lib/value-error.ts";
import { InventoryError } from "./errors.ts";
import type { ImageFilter } from "./image.ts";

export type Matches = (row: ImageRow) => boolean;

/** Everything of a filter but sizes and the registry. */
export function compileFilter({ repository, tag, text, notPulledSinceMs }: ImageFilter): Matches {
  const tests: Matches[] = [];
  if (repository !== undefined) {
    const isRepository = compiled("repository", () => readersGlob(repository, compileRepositoryGlob));
    tests.push((row) => isRepository(row.repository));
  }
  if (tag !== undefined) {
    const isTag = compiled("tag", () => readersGlob(tag, compileTagGlob));
    tests.push((row) => row.tags.some((one) => isTag(one.tag)));
  }
  if (text !== undefined && text !== "") tests.push(contains(text.toLowerCase()));
  if (notPulledSinceMs !== undefined) tests.push((row) => (row.lastPulledAtMs ?? row.heldAtMs) < notPulledSinceMs);
  return (row) => tests.every((test) => test(row));
}

/** Whoever may read may ask for any pattern, and none of them may hold up everybody else. */
function readersGlob(pattern: string, compile: (pattern: string) => unknown): (text: string) => boolean {
  compile(pattern);
  return pattern === "*" ? () => true : compilePlainGlob(pattern);
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
