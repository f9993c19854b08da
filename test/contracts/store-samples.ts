import { parseRepositoryName, parseTag, type Repository, type Tag } from "../../src/oci/reference.ts";
import type { SpoolOrigin } from "../../src/store/store.ts";

export const ORIGIN: SpoolOrigin = { registryId: "dockerhub", repository: "docker.io/library/app", size: undefined };

export function repo(name: string, serves = "docker.io"): Repository {
  const parsed = parseRepositoryName(name);
  if (parsed === undefined) throw new Error(`no repository name: ${name}`);
  return { registryId: serves, serves, name: parsed };
}

export function tagOf(text: string): Tag {
  const tag = parseTag(text);
  if (tag === undefined) throw new Error(`no tag: ${text}`);
  return tag;
}
