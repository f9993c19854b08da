import { type Digest, digestAlgorithm, digestOf, parseDigest } from "../../oci/digest.ts";
import { type Manifest, MANIFEST_BYTES_MAX, parseManifest } from "../../oci/manifest.ts";
import { parseTag, repositoryPath, type Tag } from "../../oci/reference.ts";
import type { ForeignBlob } from "../../store/store.ts";
import { readAll } from "./foreign-files.ts";
import { type ImageName, type NamedRegistry, parseImageName } from "../../oci/image-name.ts";
import { ImportError, type ImportSource, type OnProblem, type SourceLink, type SourceRepository } from "./source.ts";

/** Manifests below one name in `index.json`; an image for every platform, with attestations, has fifty. */
const MANIFESTS_PER_ENTRY_MAX = 5_000;
/** An index may name indexes; deeper ones nobody has. */
const DEPTH_MAX = 4;
const REF_NAME = "org.opencontainers.image.ref.name";
const IMAGE_NAME = "io.containerd.image.name";

/** The files of an OCI layout, wherever they lie. */
export interface LayoutFiles {
  readonly kind: string;
  /** The whole of `index.json`; undefined where there is none that is of a sane length. */
  index(bytesMax: number): Promise<Uint8Array | undefined>;
  find(digest: Digest): Promise<ForeignBlob | undefined>;
  close(): Promise<void>;
}

export interface LayoutOptions {
  readonly files: LayoutFiles;
  readonly registries: readonly NamedRegistry[];
  /** What its one image is, or its images' repository is, called; undefined where the annotations say so. */
  readonly name: ImageName | undefined;
  readonly onProblem: OnProblem;
  readonly signal: AbortSignal;
}

/** What `index.json` has on its top. */
interface Entry {
  readonly digest: Digest;
  readonly name: ImageName | undefined;
  /** What it is called there. */
  readonly said: string | undefined;
}

/** An OCI layout: what `skopeo copy ... oci:`, `podman save --format oci-archive` and `docker save` write. */
export class OciLayout implements ImportSource {
  readonly kind: string;
  readonly find: ImportSource["find"];
  readonly #o: LayoutOptions;
  readonly #entries: readonly Entry[];

  private constructor(options: LayoutOptions, entries: readonly Entry[]) {
    this.kind = options.files.kind;
    this.find = async (digest) => await options.files.find(digest);
    this.#o = options;
    this.#entries = entries;
  }

  /** Rejects with an `ImportError` where it is none, or nobody says what its images are called; the files are closed then. */
  static async open(options: LayoutOptions): Promise<OciLayout> {
    try {
      const bytes = await options.files.index(MANIFEST_BYTES_MAX);
      if (bytes === undefined) throw new ImportError("there is no `index.json` in it, or one that is far too long");
      return new OciLayout(options, entriesOf(bytes, options));
    } catch (error) {
      await options.files.close();
      throw error;
    }
  }

  async *repositories(): AsyncIterable<SourceRepository> {
    const byRepository = Map.groupBy(this.#entries.filter(isNamed), ({ name }) => repositoryPath(name.repository));
    for (const entries of byRepository.values()) yield await this.#contents(entries);
  }

  async close(): Promise<void> {
    await this.#o.files.close();
  }

  async #contents(entries: readonly NamedEntry[]): Promise<SourceRepository> {
    const manifests = new Set<Digest>();
    const layers = new Set<Digest>();
    for (const { digest } of entries) await this.#collect(digest, manifests, layers);
    return {
      repository: (entries[0] as NamedEntry).name.repository,
      manifests: [...manifests].map(asLink),
      layers: [...layers].map(asLink),
      tags: entries.flatMap(({ name, digest }) => (name.tag === undefined ? [] : [{ tag: name.tag, digest }])),
    };
  }

  /** Everything below a manifest, as far as it is there. */
  async #collect(top: Digest, manifests: Set<Digest>, layers: Set<Digest>): Promise<void> {
    let level: readonly Digest[] = [top];
    let left = MANIFESTS_PER_ENTRY_MAX;
    for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth += 1) {
      const next: Digest[] = [];
      for (const digest of level) {
        if (manifests.has(digest)) continue;
        this.#o.signal.throwIfAborted();
        left -= 1;
        if (left < 0) throw new ImportError(`${top} has more than ${MANIFESTS_PER_ENTRY_MAX} manifests below it`);
        const manifest = await this.#manifest(digest);
        if (manifest === undefined) continue;
        manifests.add(digest);
        next.push(...manifest.manifests.map((one) => one.digest));
        for (const blob of manifest.blobs) layers.add(blob.digest);
      }
      level = next;
    }
  }

  async #manifest(digest: Digest): Promise<Manifest | undefined> {
    const file = await this.find(digest);
    if (file === undefined) return undefined;
    const bytes = file.size > MANIFEST_BYTES_MAX ? undefined : await readAll(file);
    if (bytes !== undefined && digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      this.#o.onProblem({ kind: "damaged", what: digest });
      return undefined;
    }
    const manifest = bytes && parseManifest(bytes);
    if (manifest === undefined) this.#o.onProblem({ kind: "no-manifest", what: digest });
    return manifest;
  }
}

function asLink(digest: Digest): SourceLink {
  return { digest, isPrivate: false };
}

type NamedEntry = Entry & { readonly name: ImageName };

function isNamed(entry: Entry): entry is NamedEntry {
  return entry.name !== undefined;
}

function entriesOf(bytes: Uint8Array, options: LayoutOptions): Entry[] {
  const entries = parseManifest(bytes) === undefined ? undefined : descriptorsOf(bytes);
  if (entries === undefined) throw new ImportError("its `index.json` is no index");
  if (entries.length === 0) throw new ImportError("there is no image in it");
  return options.name === undefined ? namedByThemselves(entries, options) : namedByUser(entries, options.name);
}

function namedByThemselves(entries: readonly Entry[], { registries, onProblem }: LayoutOptions): Entry[] {
  const named = entries.map((entry): Entry => {
    const name = entry.said === undefined || isBareTag(entry.said) ? undefined : parseImageName(entry.said, registries);
    if (name !== undefined && !("problem" in name)) return { ...entry, name };
    const what = entry.said ?? entry.digest;
    if (name?.problem === "unknown") onProblem({ kind: "unknown-registry", what });
    else onProblem({ kind: name === undefined ? "unnamed" : "bad-name", what });
    return entry;
  });
  if (named.some(isNamed)) return named;
  const what = entries.map(({ said, digest }) => said ?? digest).slice(0, 3);
  throw new ImportError(
    `nothing says which repository its images are of (${what.join(", ")}${entries.length > 3 ? ", ..." : ""})`,
    "name it with `--as docker.io/library/nginx:1.27`; without a tag where it has several images with tags",
  );
}

/** `1.27` alone is what skopeo writes of a tag; of an image it could only be one of Docker Hub's. */
function isBareTag(said: string): boolean {
  return !said.includes("/") && !said.includes(":") && parseTag(said) !== undefined;
}

function namedByUser(entries: readonly Entry[], name: ImageName): Entry[] {
  if (name.digest !== undefined) {
    const chosen = entries.filter(({ digest }) => digest === name.digest);
    if (chosen.length === 0) throw new ImportError(`it has no ${name.digest} in its \`index.json\``);
    return chosen.map((entry) => ({ ...entry, name }));
  }
  if (name.tag === undefined) {
    return entries.map((entry) => ({ ...entry, name: { ...name, tag: tagIn(entry.said) } }));
  }
  if (entries.length === 1) return entries.map((entry) => ({ ...entry, name }));
  const sameTag = entries.filter(({ said }) => tagIn(said) === name.tag);
  if (sameTag.length === 1) return sameTag.map((entry) => ({ ...entry, name }));
  const hint = "leave the tag out of `--as` to take all of them with their own tags, or add `@<digest>` to choose one";
  throw new ImportError(`there are ${entries.length} images in it, and \`--as\` names one`, hint);
}

function tagIn(said: string | undefined): Tag | undefined {
  return said === undefined ? undefined : parseTag(said.slice(said.lastIndexOf(":") + 1));
}

/** One digest may be there several times, once for each of its tags. */
function descriptorsOf(bytes: Uint8Array): Entry[] | undefined {
  const { manifests } = JSON.parse(Buffer.from(bytes).toString()) as { manifests?: unknown };
  if (!Array.isArray(manifests)) return undefined;
  return manifests.flatMap((one: unknown): Entry[] => {
    const { digest: text, annotations } = (one ?? {}) as { digest?: unknown; annotations?: unknown };
    const digest = typeof text === "string" ? parseDigest(text) : undefined;
    if (digest === undefined) return [];
    const texts = (annotations ?? {}) as Record<string, unknown>;
    const said = [texts[IMAGE_NAME], texts[REF_NAME]].find((value) => typeof value === "string" && value !== "");
    return [{ digest, said: said as string | undefined, name: undefined }];
  });
}
