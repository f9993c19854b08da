import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parseTag, type Repository, type Tag } from "../oci/reference.ts";
import { entriesOf, readFileIfPresent, removeEmptyFolder, statFileIfPresent, writeFileDurably } from "./files.ts";
import { FETCHED_WITH_FILE, type Layout } from "./layout.ts";
import type { LinkKind, RepositoryContents, StoredLink, StoredTag } from "./store.ts";

type DamagedLink = RepositoryContents["damagedLinks"][number];

const LINK_KINDS: readonly LinkKind[] = ["manifest", "layer"];

/** What the file of a tag says that was taken over from elsewhere; when that was, its entry in the tag's index says. */
const NEVER_CONFIRMED = new Date(0);

/** Says in `registry:2`'s own way which repository has which content, and where its tags point. */
export class Links {
  readonly #layout: Layout;
  readonly #unfinished: string;

  constructor(layout: Layout, unfinished: string) {
    this.#layout = layout;
    this.#unfinished = unfinished;
  }

  async link(kind: LinkKind, repository: Repository, digest: Digest, fetchedWith: string | undefined): Promise<void> {
    const path = this.#layout.link(kind, repository, digest);
    const marker = join(dirname(path), FETCHED_WITH_FILE);
    // The mark stands before the link does, so that a crash between the two never makes private content look public.
    if (fetchedWith !== undefined) await writeFileDurably(marker, fetchedWith, this.#unfinished);
    await writeFileDurably(path, digest, this.#unfinished);
    if (fetchedWith === undefined) await rm(marker, { force: true });
  }

  async has(kind: LinkKind, repository: Repository, digest: Digest): Promise<boolean> {
    return (await readLink(this.#layout.link(kind, repository, digest))) === digest;
  }

  async fetchedWith(kind: LinkKind, repository: Repository, digest: Digest): Promise<string | undefined> {
    const folder = dirname(this.#layout.link(kind, repository, digest));
    return (await readFileIfPresent(join(folder, FETCHED_WITH_FILE)))?.toString().trim();
  }

  async setTag(
    repository: Repository,
    tag: Tag,
    digest: Digest,
    how: "confirmed" | "unconfirmed" = "confirmed",
  ): Promise<void> {
    const current = this.#layout.tag(repository, tag);
    await writeFileDurably(this.#layout.tagIndex(repository, tag, digest), digest, this.#unfinished);
    await writeFileDurably(current, digest, this.#unfinished, how === "confirmed" ? undefined : NEVER_CONFIRMED);
  }

  async tag(repository: Repository, tag: Tag): Promise<Digest | undefined> {
    return await readLink(this.#layout.tag(repository, tag));
  }

  /** The mark goes after the link, so that a crash between the two never makes private content look public. */
  async unlink(kind: LinkKind, repository: Repository, digest: Digest): Promise<void> {
    const path = this.#layout.link(kind, repository, digest);
    await rm(path, { force: true });
    await rm(join(dirname(path), FETCHED_WITH_FILE), { force: true });
    await removeEmptyFolder(dirname(path));
  }

  /** Where it points goes first: a tag of which only the past is left is none. */
  async removeTag(repository: Repository, tag: Tag): Promise<void> {
    await rm(this.#layout.tag(repository, tag), { force: true });
    await rm(join(this.#layout.tags(repository), tag), { recursive: true, force: true });
  }

  async removeIfBare(repository: Repository): Promise<void> {
    const bases = [this.#layout.tags(repository), ...LINK_KINDS.map((kind) => this.#layout.links(kind, repository))];
    for (const base of bases) {
      for (const algorithm of await entriesOf(base)) await removeEmptyFolder(join(base, algorithm.name));
      await removeEmptyFolder(base);
    }
    await removeEmptyFolder(dirname(this.#layout.tags(repository)));
    // The folders above may be others' as well, and are gone as soon as one of them is not empty.
    for (
      let folder = this.#layout.repository(repository);
      folder !== this.#layout.repositories;
      folder = dirname(folder)
    ) {
      if (!(await removeEmptyFolder(folder))) return;
    }
  }

  async contents(repository: Repository): Promise<RepositoryContents> {
    const [damagedLinks, damagedTags]: [DamagedLink[], Tag[]] = [[], []];
    const [manifests, layers, tags] = await Promise.all([
      this.#linksOf("manifest", repository, damagedLinks),
      this.#linksOf("layer", repository, damagedLinks),
      this.#tagsOf(repository, damagedTags),
    ]);
    const damaged = [...damagedLinks.map(({ digest }) => digest), ...damagedTags].toSorted();
    return { manifests, layers, tags, damaged, damagedLinks, damagedTags };
  }

  async #linksOf(kind: LinkKind, repository: Repository, damaged: DamagedLink[]): Promise<StoredLink[]> {
    const found: StoredLink[] = [];
    const root = this.#layout.links(kind, repository);
    for (const algorithm of await entriesOf(root)) {
      for (const entry of await entriesOf(join(root, algorithm.name))) {
        const digest = parseDigest(`${algorithm.name}:${entry.name}`);
        const link = digest === undefined ? undefined : await this.#storedLink(kind, repository, digest, damaged);
        if (link !== undefined) found.push(link);
      }
    }
    return found;
  }

  async #storedLink(
    kind: LinkKind,
    repository: Repository,
    digest: Digest,
    damaged: DamagedLink[],
  ): Promise<StoredLink | undefined> {
    const path = this.#layout.link(kind, repository, digest);
    const stats = await statFileIfPresent(path);
    if (stats === undefined) return undefined;
    if ((await readLink(path)) !== digest) {
      damaged.push({ kind, digest });
      return undefined;
    }
    return { digest, fetchedWith: await this.fetchedWith(kind, repository, digest), atMs: Math.floor(stats.mtimeMs) };
  }

  async #tagsOf(repository: Repository, damaged: Tag[]): Promise<StoredTag[]> {
    const found: StoredTag[] = [];
    for (const entry of await entriesOf(this.#layout.tags(repository))) {
      const tag = parseTag(entry.name);
      if (tag === undefined) continue;
      const path = this.#layout.tag(repository, tag);
      const [stats, digest] = [await statFileIfPresent(path), await readLink(path)];
      if (stats === undefined) continue;
      if (digest === undefined) damaged.push(tag);
      else found.push({ tag, digest, ...(await this.#timesOf(repository, tag, digest, stats.mtimeMs)) });
    }
    return found;
  }

  async #timesOf(
    repository: Repository,
    tag: Tag,
    digest: Digest,
    mtimeMs: number,
  ): Promise<Pick<StoredTag, "atMs" | "confirmedAtMs">> {
    const confirmedAtMs = Math.floor(mtimeMs);
    if (confirmedAtMs > 0) return { atMs: confirmedAtMs, confirmedAtMs };
    const indexed = await statFileIfPresent(this.#layout.tagIndex(repository, tag, digest));
    return { atMs: Math.floor(indexed?.mtimeMs ?? 0), confirmedAtMs };
  }
}

/** Repositories' store paths (`docker.io/library/nginx`) below a folder, in lexical order of their folders. */
export async function* walkRepositories(root: string, prefix = ""): AsyncIterable<string> {
  const entries = (await entriesOf(join(root, prefix))).filter((entry) => entry.isDirectory());
  // registry:2 keeps its own folders (`_layers`, `_manifests`, `_uploads`) beside those of deeper repositories.
  if (prefix !== "" && entries.some((entry) => entry.name.startsWith("_"))) yield prefix;
  for (const entry of entries) {
    if (!entry.name.startsWith("_"))
      yield* walkRepositories(root, prefix === "" ? entry.name : `${prefix}/${entry.name}`);
  }
}

async function readLink(path: string): Promise<Digest | undefined> {
  const bytes = await readFileIfPresent(path);
  return bytes === undefined ? undefined : parseDigest(bytes.toString().trim());
}
