import { join, resolve } from "node:path";
import { type Digest, digestAlgorithm, digestHex } from "../oci/digest.ts";
import { type Repository, type Tag, repositoryPath } from "../oci/reference.ts";
import type { LinkKind } from "./store.ts";

/**
 * Where everything lies. The tree below `docker/registry/v2` is that of `registry:2` and `registry:3`, so that a plain
 * registry can serve the folder and an old volume can be taken over; partials and unfinished writes lie outside of it.
 */
export interface Layout {
  readonly repositories: string;
  readonly spools: string;
  /** Unfinished small writes, a folder a process. */
  readonly unfinished: string;
  readonly blobs: string;
  blob(digest: Digest): string;
  repository(repository: Repository): string;
  link(kind: LinkKind, repository: Repository, digest: Digest): string;
  links(kind: LinkKind, repository: Repository): string;
  tags(repository: Repository): string;
  tag(repository: Repository, tag: Tag): string;
  tagIndex(repository: Repository, tag: Tag, digest: Digest): string;
  spool(digest: Digest): string;
}

export function layoutOf(dataDir: string): Layout {
  // Absolute, as the paths are that the system gives back, which they are compared to.
  const root = resolve(dataDir);
  const v2 = join(root, "docker", "registry", "v2");
  const repositories = join(v2, "repositories");
  const spools = join(root, "spool");
  const inRepository = (repository: Repository, ...rest: string[]) =>
    join(repositories, repositoryPath(repository), ...rest);
  const links = (kind: LinkKind, repository: Repository) =>
    kind === "layer" ? inRepository(repository, "_layers") : inRepository(repository, "_manifests", "revisions");
  const tags = (repository: Repository) => inRepository(repository, "_manifests", "tags");
  return {
    repositories,
    spools,
    unfinished: join(root, "unfinished"),
    blobs: join(v2, "blobs"),
    repository: inRepository,
    blob: (digest) => {
      const hex = digestHex(digest);
      return join(v2, "blobs", digestAlgorithm(digest), hex.slice(0, 2), hex, "data");
    },
    links,
    link: (kind, repository, digest) =>
      join(links(kind, repository), digestAlgorithm(digest), digestHex(digest), LINK_FILE),
    tags,
    tag: (repository, tag) => join(tags(repository), tag, "current", LINK_FILE),
    tagIndex: (repository, tag, digest) =>
      join(tags(repository), tag, "index", digestAlgorithm(digest), digestHex(digest), LINK_FILE),
    spool: (digest) => join(spools, `${digestAlgorithm(digest)}-${digestHex(digest)}`),
  };
}

export const LINK_FILE = "link";
/** Beside a link whose content was fetched with credentials; `registry:2` ignores it. */
export const FETCHED_WITH_FILE = "fetched-with";
/** Beside a partial: where it came from. */
export const ORIGIN_SUFFIX = ".json";
