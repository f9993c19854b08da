import { type Digest, parseDigest } from "../../src/oci/digest.ts";
import { parseRepositoryName, parseTag, type Repository, type Tag } from "../../src/oci/reference.ts";
import type { PlannedRepository } from "./plan.ts";

/** The plan's strings as the product's types; throws where they are none. */
export function asDigest(text: string): Digest {
  return sure(parseDigest(text), text);
}

export function asTag(text: string): Tag {
  return sure(parseTag(text), text);
}

export function asRepository({ registryId, serves, name }: PlannedRepository): Repository {
  return { registryId, serves, name: sure(parseRepositoryName(name), name) };
}

function sure<T>(parsed: T | undefined, text: string): T {
  if (parsed === undefined) throw new TypeError(`the plan has a name that is none: ${text}`);
  return parsed;
}
