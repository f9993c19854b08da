import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";
import { parseTag, REPOSITORY_NAME_LENGTH_MAX, type Repository } from "../../oci/reference.ts";
import type { ForeignBlob } from "../../store/store.ts";
import type { ForeignFolder } from "./foreign-files.ts";
import { isHost, type NamedRegistry, repositoryOf } from "../../oci/image-name.ts";
import { ImportError, type ImportSource, type OnProblem, type SourceLink, type SourceRepository } from "./source.ts";

/** A link has a digest in it, and no more. */
const LINK_BYTES_MAX = 1_024;
/** The host's name and a slash come on top where the volume is one of ours. */
const PATH_LENGTH_MAX = 2 * REPOSITORY_NAME_LENGTH_MAX;
const MARK = "fetched-with";

export interface VolumeOptions {
  /** `.../docker/registry/v2`. */
  readonly folder: ForeignFolder;
  readonly registries: readonly NamedRegistry[];
  /** Whose images they are; undefined where their names say so. */
  readonly registry: NamedRegistry | undefined;
  readonly onProblem: OnProblem;
  readonly signal: AbortSignal;
}

/** What `registry:2` and `registry:3` have stored, which is how we store as well. */
export class Volume implements ImportSource {
  readonly kind = "registry volume";
  readonly #folder: ForeignFolder;
  readonly #o: VolumeOptions;

  private constructor(options: VolumeOptions) {
    this.#o = options;
    this.#folder = options.folder;
  }

  /** Rejects with an `ImportError` where neither the names nor the user say whose images they are. */
  static async open(options: VolumeOptions): Promise<Volume> {
    if (options.registry === undefined) await assertNamed(options);
    return new Volume(options);
  }

  async *repositories(): AsyncIterable<SourceRepository> {
    for await (const path of walk(this.#folder)) {
      this.#o.signal.throwIfAborted();
      const repository = this.#named(path);
      if (repository !== undefined) yield await this.#contents(path, repository);
    }
  }

  async find(digest: Digest): Promise<ForeignBlob | undefined> {
    const hex = digestHex(digest);
    return await this.#folder.file("blobs", digestAlgorithm(digest), hex.slice(0, 2), hex, "data");
  }

  async close(): Promise<void> {
    // Nothing of it is kept open.
  }

  #named(path: string): Repository | undefined {
    const { registry, registries, onProblem } = this.#o;
    const slash = path.indexOf("/");
    const host = path.slice(0, Math.max(slash, 0));
    const owner = registry ?? registries.find(({ serves }) => serves === host);
    if (owner === undefined) {
      onProblem({ kind: "unknown-registry", what: path });
      return undefined;
    }
    const repository = repositoryOf(owner, registry === undefined ? path.slice(slash + 1) : path);
    if (repository === undefined) onProblem({ kind: "bad-name", what: path });
    return repository;
  }

  async #contents(path: string, repository: Repository): Promise<SourceRepository> {
    const manifests = await this.#links(path, "_manifests", "revisions");
    return { repository, manifests, layers: await this.#links(path, "_layers"), tags: await this.#tags(path) };
  }

  async #links(path: string, ...kind: readonly string[]): Promise<SourceLink[]> {
    const found: SourceLink[] = [];
    for (const algorithm of await this.#folder.entries("repositories", path, ...kind)) {
      for (const { name } of await this.#folder.entries("repositories", path, ...kind, algorithm.name)) {
        this.#o.signal.throwIfAborted();
        const digest = parseDigest(`${algorithm.name}:${name}`);
        const link = digest && (await this.#link(digest, "repositories", path, ...kind, algorithm.name, name));
        if (link !== undefined) found.push(link);
      }
    }
    return found;
  }

  async #link(digest: Digest, ...folder: readonly string[]): Promise<SourceLink | undefined> {
    const said = await this.#folder.readSmall(LINK_BYTES_MAX, ...folder, "link");
    // Where there is none, it was deleted.
    if (said === undefined) return undefined;
    if (said.toString().trim() !== digest) {
      this.#o.onProblem({ kind: "damaged-link", what: digest, repository: folder[1] ?? "" });
      return undefined;
    }
    return { digest, isPrivate: (await this.#folder.file(...folder, MARK)) !== undefined };
  }

  async #tags(path: string): Promise<SourceRepository["tags"]> {
    const found = [];
    for (const { name } of await this.#folder.entries("repositories", path, "_manifests", "tags")) {
      const tag = parseTag(name);
      const where = ["repositories", path, "_manifests", "tags", name, "current", "link"];
      const said = tag && (await this.#folder.readSmall(LINK_BYTES_MAX, ...where));
      if (tag === undefined || said === undefined) continue;
      const digest = parseDigest(said.toString().trim());
      if (digest === undefined) this.#o.onProblem({ kind: "damaged-link", what: tag, repository: path });
      else found.push({ tag, digest });
    }
    return found;
  }
}

/** Repositories' paths in lexical order of their folders. */
async function* walk(folder: ForeignFolder, path = ""): AsyncIterable<string> {
  if (path.length > PATH_LENGTH_MAX) return;
  const entries = await folder.entries("repositories", path);
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (path !== "" && names.some((name) => name.startsWith("_"))) yield path;
  for (const name of names) {
    if (!name.startsWith("_")) yield* walk(folder, path === "" ? name : `${path}/${name}`);
  }
}

/** Ours have the registry's name first, and only there it is known. */
async function assertNamed({ folder, registries }: VolumeOptions): Promise<void> {
  const entries = await folder.entries("repositories");
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (names.every(isHost) && registries.some(({ serves }) => names.includes(serves))) return;
  const looksLikeHub = names.includes("library") && registries.some(({ id }) => id === "dockerhub");
  const example = looksLikeHub ? "dockerhub" : "<id>";
  const why = looksLikeHub ? "; with official images (`library/...`) in it, it is Docker Hub's" : "";
  throw new ImportError(
    "the volume does not say which registry its images come from",
    `name that registry with \`--registry ${example}\`${why}`,
  );
}
