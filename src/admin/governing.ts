import { compileImageGlob } from "../lib/glob.ts";
import type { Digest } from "../oci/digest.ts";
import { DEFAULT_TAG, type NamedRegistry, parseImageName } from "../oci/image-name.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { Shortage } from "../pull/room.ts";
import { badRequest, ProblemError } from "../server/problem.ts";
import type { EvictRequest, EvictReport } from "../upkeep/evict/asked.ts";
import type { Evictor } from "../upkeep/evict/evictor.ts";
import type { Pins, ListedPin } from "../upkeep/pins/pins.ts";
import type { EvictAsked, Evicting, Eviction, Pin, PinBook } from "./api/parts.ts";

/** Told one by one; the others are counted. */
const TOLD_MAX = 1_000;
const GLOB = /[*?[\]{}]/;

export interface PinBookOptions {
  readonly pins: Pick<Pins, "add" | "list" | "remove">;
  readonly registries: readonly NamedRegistry[];
  /** Whether a repository has the manifest. */
  readonly isHeld: (repository: Repository, digest: Digest) => Promise<boolean>;
  /** Whether its upstream has it, which is asked; `why` is upstream's word. */
  readonly presence: Presences;
  /** To be called after each change. */
  readonly onChanged: () => Promise<void>;
}

export type Presences = (
  repository: Repository,
  digest: Digest,
) => Promise<{ readonly kind: "there" } | { readonly kind: "absent" | "unknown"; readonly why: string }>;

/** Pins as the API has them. */
export function pinBook({ pins, registries, isHeld, presence, onChanged }: PinBookOptions): PinBook {
  /** A tag that is held at what nobody has would be broken for all clients. */
  const found = async (image: string): Promise<Pick<Pin, "isHeld" | "unconfirmed">> => {
    const name = GLOB.test(image) ? undefined : parseImageName(image, registries);
    if (name === undefined || "problem" in name || name.tag === undefined || name.digest === undefined) return {};
    if (await isHeld(name.repository, name.digest)) return { isHeld: true };
    const upstream = await presence(name.repository, name.digest);
    if (upstream.kind === "there") return { isHeld: false };
    if (upstream.kind === "unknown") return { isHeld: false, unconfirmed: upstream.why };
    const where = repositoryPath(name.repository);
    throw new ProblemError(
      404,
      `${where} has no ${name.digest}, here or upstream, so that no tag can be held there: ${upstream.why}`,
    );
  };
  return {
    list: async () => (await pins.list()).map(pinOf),
    put: async (image, note) => {
      const there = await found(image);
      const added = await pins.add(image, note);
      await onChanged();
      return { ...pinOf({ ...added, from: "file" }), ...there };
    },
    remove: async (image) => {
      const before = await pins.list();
      const [removed] = await pins.remove([image]);
      await onChanged();
      const pin = before.find(({ reference, from }) => reference === removed && from === "file");
      if (pin !== undefined) return pinOf(pin);
      const configured = before.find(({ reference, from }) => from === "configuration" && reference === image);
      if (configured === undefined) return undefined;
      throw new ProblemError(409, `${image} stands under pins in the configuration, and goes by changing that alone`);
    },
  };
}

function pinOf({ reference, note, from }: ListedPin): Pin {
  const isHold = !GLOB.test(reference) && /:[^/@]+@/.test(reference);
  return { image: reference, isHold, note, isConfigured: from === "configuration" };
}

export interface EvictingOptions {
  readonly evictor: Pick<Evictor, "evict" | "plan" | "prune" | "reckoning">;
  readonly registries: readonly NamedRegistry[];
}

/** Eviction as the API has it. */
export function evictingBy({ evictor, registries }: EvictingOptions): Evicting {
  return {
    plan: async () => {
      const { evicted, bytes, lacking, pinned, orphans, orphanBytes } = await evictor.plan();
      return {
        images: evicted.slice(0, TOLD_MAX),
        imageCount: evicted.length,
        bytes: bytes + orphanBytes,
        kept: keptByPins(pinned),
        orphans: { count: orphans, bytes: orphanBytes },
        lackingBytes: lackingBytes(lacking),
      };
    },
    prune: async () => {
      const { evicted, bytes, pinned, orphansRemoved: count, orphanBytesRemoved } = await evictor.prune();
      const { lacking } = await evictor.plan();
      return {
        images: evicted.slice(0, TOLD_MAX),
        imageCount: evicted.length,
        bytes: bytes + orphanBytesRemoved,
        kept: keptByPins(pinned),
        orphans: { count, bytes: orphanBytesRemoved },
        lackingBytes: lackingBytes(lacking),
      };
    },
    evict: async (asked) => {
      const reports: Eviction[] = [];
      const reckoned = evictor.reckoning();
      for (const request of requestsOf(asked, registries)) {
        const named = request.kind === "registry" ? request.registryId : request.named;
        reports.push(evictionOf(await evictor.evict(request, reckoned), named));
      }
      return reports.reduce(together, NOTHING);
    },
  };
}

const NOTHING: Eviction = {
  images: [],
  imageCount: 0,
  bytes: 0,
  kept: [],
  orphans: { count: 0, bytes: 0 },
  lackingBytes: 0,
};

function lackingBytes(lacking: Shortage | undefined): number {
  return Math.max(0, lacking?.all ?? 0, lacking?.disk ?? 0, ...(lacking?.byRegistry.values() ?? []));
}

function keptByPins(pinned: number): Eviction["kept"] {
  return pinned === 0 ? [] : [{ image: `${pinned} ${pinned === 1 ? "image" : "images"}`, why: "pinned" }];
}

type NamedRequest = EvictRequest & { readonly named: string };

/** All of them are understood before the first one is done. */
function requestsOf(
  { images, registryId, isDryRun }: EvictAsked,
  registries: readonly NamedRegistry[],
): NamedRequest[] {
  if (registryId !== undefined) return [{ kind: "registry", registryId, isDryRun, named: registryId }];
  return images.map((named, index): NamedRequest => {
    if (GLOB.test(named)) {
      // Throws what the API knows for a mistake in the question.
      compileImageGlob(named);
      return { kind: "glob", glob: named, isDryRun, named };
    }
    const name = parseImageName(named, registries);
    if (!("problem" in name)) {
      const { repository, tag = DEFAULT_TAG, digest } = name;
      const reference = digest === undefined ? ({ kind: "tag", tag } as const) : ({ kind: "digest", digest } as const);
      return { kind: "image", repository, reference, isDryRun, named };
    }
    const detail =
      name.problem === "unknown" ? `the registry ${name.host} is not configured here` : "no image can be called so";
    throw badRequest(`${named}: ${detail}`, [{ pointer: `#/images/${index}`, detail }]);
  });
}

function evictionOf({ evicted, images, bytes, pinned, busy }: EvictReport, named: string): Eviction {
  const kept = pinned.map((image) => ({ image, why: "pinned" }));
  if (busy > 0) kept.push({ image: named, why: "something of its repository is being kept just now; ask again" });
  if (images === 0 && kept.length === 0) kept.push({ image: named, why: "not held" });
  return { ...NOTHING, images: evicted, imageCount: images, bytes, kept };
}

function together(a: Eviction, b: Eviction): Eviction {
  return {
    ...NOTHING,
    images: [...a.images, ...b.images].slice(0, TOLD_MAX),
    imageCount: a.imageCount + b.imageCount,
    bytes: a.bytes + b.bytes,
    kept: [...a.kept, ...b.kept].slice(0, TOLD_MAX),
  };
}
