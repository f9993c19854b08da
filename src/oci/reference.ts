import { type Digest, parseDigest } from "./digest.ts";

/** A checked repository name without its registry, e.g. `library/nginx` (distribution-spec, "Pulling manifests"). */
export type RepositoryName = string & { readonly __brand: "RepositoryName" };
/** A checked tag, at most 128 characters. */
export type Tag = string & { readonly __brand: "Tag" };

/** What a manifest is asked by. */
export type Reference =
  | { readonly kind: "tag"; readonly tag: Tag }
  | { readonly kind: "digest"; readonly digest: Digest };

/** One repository of one registry. `serves` is the name that images carry and the first folder in the store. */
export interface Repository {
  readonly registryId: string;
  readonly serves: string;
  readonly name: RepositoryName;
}

/** Many clients cap host + "/" + name at 255, so no longer name can ever have been pulled. */
export const REPOSITORY_NAME_LENGTH_MAX = 255;

const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

export function parseRepositoryName(text: string): RepositoryName | undefined {
  if (text.length > REPOSITORY_NAME_LENGTH_MAX) return undefined;
  return NAME.test(text) ? (text as RepositoryName) : undefined;
}

export function parseTag(text: string): Tag | undefined {
  return TAG.test(text) ? (text as Tag) : undefined;
}

/** The repository's folder in the store and its key everywhere: `docker.io/library/nginx`. */
export function repositoryPath(repository: Repository): string {
  return `${repository.serves}/${repository.name}`;
}

export function referenceText(reference: Reference): string {
  return reference.kind === "tag" ? reference.tag : reference.digest;
}

/** A reference as it stands in a URL: whatever has a colon must be a digest. */
export function parseReference(text: string): Reference | "bad-digest" | "bad-tag" {
  if (text.includes(":")) {
    const digest = parseDigest(text);
    return digest === undefined ? "bad-digest" : { kind: "digest", digest };
  }
  const tag = parseTag(text);
  return tag === undefined ? "bad-tag" : { kind: "tag", tag };
}
