import { setImmediate as otherWork } from "node:timers/promises";
import type { Catalog } from "../catalog/catalog.ts";
import type { ImageCatalog, ImagePlace, ImageRow } from "../catalog/images.ts";
import { compileImageGlob } from "../lib/glob.ts";
import type { Digest } from "../oci/digest.ts";
import { DEFAULT_TAG, type NamedRegistry, noImageText, parseImageName } from "../oci/image-name.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { Shortage } from "../pull/room.ts";
import { notHeldText } from "./held-tags.ts";
import { badRequest, ProblemError } from "../server/problem.ts";
import type { EvictRequest, EvictReport } from "../upkeep/evict/asked.ts";
import type { Evictor } from "../upkeep/evict/evictor.ts";
import type { PrunePlan } from "../upkeep/evict/prune.ts";
import { type CompiledPin, compilePin } from "../upkeep/pins/pin-list.ts";
import type { Pins, ListedPin } from "../upkeep/pins/pins.ts";
import { pathOf } from "./images/order.ts";
import type { EvictAsked, Evicting, Eviction, Pin, PinBook } from "./api/parts.ts";

/** Of images that stay: each asks the catalog twice. */
const EXPLAINED_MAX = 100;
/** Told one by one; the others are counted. */
const TOLD_MAX = 1_000;
/** Images in one question. */
const IMAGES_PER_QUERY = 50;
const GLOB = /[*?[\]{}]/;

export interface PinBookOptions {
  readonly pins: Pick<Pins, "add" | "list" | "now" | "remove">;
  readonly registries: readonly NamedRegistry[];
  /** Whether a repository has the manifest. */
  readonly isHeld: (repository: Repository, digest: Digest) => Promise<boolean>;
  /** Whether its upstream has it, which is asked; `why` is upstream's word. */
  readonly presence: Presences;
  readonly catalog: Pick<ImageCatalog, "images">;
  /** To be called after each change. */
  readonly onChanged: () => Promise<void>;
}

export type Presences = (
  repository: Repository,
  digest: Digest,
) => Promise<{ readonly kind: "there" } | { readonly kind: "absent" | "unknown"; readonly why: string }>;

/** Pins as the API has them. */
export function pinBook({ pins, registries, isHeld, presence, catalog, onChanged }: PinBookOptions): PinBook {
  /** A tag that is held at what nobody has would be broken for all clients. */
  const found = async (image: string): Promise<Pick<Pin, "isHeld" | "unconfirmed">> => {
    const name = GLOB.test(image) ? undefined : parseImageName(image, registries);
    const path = name === undefined || "problem" in name ? undefined : repositoryPath(name.repository);
    if (name === undefined || "problem" in name || name.digest === undefined)
      return { isHeld: await isAny(catalog, path, compilePin(image, registries)) };
    if (await isHeld(name.repository, name.digest)) return { isHeld: true };
    if (name.tag === undefined) return { isHeld: false };
    const upstream = await presence(name.repository, name.digest);
    if (upstream.kind === "there") return { isHeld: false };
    if (upstream.kind === "unknown") return { isHeld: false, unconfirmed: upstream.why };
    throw new ProblemError(
      404,
      `${path} has no ${name.digest}, here or upstream, so that no tag can be held there: ${upstream.why}`,
    );
  };
  return {
    list: async () => (await pins.list()).map(pinOf),
    marks: async () => {
      const now = await pins.now();
      const holds = now.holds();
      return { pinOf: (held) => now.pinOf(held), heldAt: (tag) => holds.get(tag)?.digest };
    },
    put: async (image, note) => {
      const there = await found(image);
      const added = await pins.add(image, note);
      await onChanged();
      return { ...pinOf({ ...added, from: "file" }), ...there };
    },
    remove: async (image) => {
      const before = await pins.list();
      const named = meant(image, before, registries);
      const [removed] = await pins.remove([named]);
      await onChanged();
      const pin = before.find(({ reference, from }) => reference === removed && from === "file");
      if (pin !== undefined) return pinOf(pin);
      const configured = before.find(({ reference, from }) => from === "configuration" && reference === named);
      if (configured === undefined) return undefined;
      throw new ProblemError(409, `${named} stands under pins in the configuration, and goes by changing that alone`);
    },
  };
}

/** Whether any held image fits, of all or of one repository. */
async function isAny(
  catalog: Pick<ImageCatalog, "images">,
  path: string | undefined,
  { matches }: CompiledPin,
): Promise<boolean> {
  let after: ImagePlace | undefined;
  for (;;) {
    const query = { limit: IMAGES_PER_QUERY, after, ...(path === undefined ? {} : { path }) };
    const rows: ImageRow[] = await catalog.images(query);
    if (rows.some((row) => matches({ path: pathOf(row), tags: tagsOf(row), digests: [row.digest] }))) return true;
    const end = rows.at(-1);
    if (end === undefined || rows.length < IMAGES_PER_QUERY) return false;
    after = { path: pathOf(end), digest: end.digest };
    await otherWork();
  }
}

function tagsOf({ tags }: ImageRow): Tag[] {
  return tags.map(({ tag }) => tag);
}

/** The pin that is called so; a tag that is held at a digest may be called by the tag alone. */
function meant(image: string, pins: readonly ListedPin[], registries: readonly NamedRegistry[]): string {
  const { reference } = compilePin(image, registries);
  if (pins.some((pin) => pin.reference === reference)) return reference;
  const tag = /:[^/@]+$/.test(reference) ? reference : `${reference}:${DEFAULT_TAG}`;
  const holds = GLOB.test(reference) ? [] : pins.filter((pin) => pin.reference.startsWith(`${tag}@`));
  if (holds.length < 2) return holds[0]?.reference ?? reference;
  const all = holds.map((pin) => pin.reference).join(", ");
  throw new ProblemError(409, `${tag} is held at several digests, so say which is meant: ${all}`);
}

function pinOf({ reference, note, from }: ListedPin): Pin {
  const isHold = !GLOB.test(reference) && /:[^/@]+@/.test(reference);
  return { image: reference, isHold, note, isConfigured: from === "configuration" };
}

export interface EvictingOptions {
  readonly evictor: Pick<Evictor, "evict" | "plan" | "prune" | "reckoning">;
  readonly registries: readonly NamedRegistry[];
  readonly catalog: Pick<ImageCatalog, "images"> & Pick<Catalog, "leaving">;
  readonly pins: Pick<Pins, "now">;
}

/** Eviction as the API has it. */
export function evictingBy(options: EvictingOptions): Evicting {
  const { evictor, registries, catalog } = options;
  return {
    plan: async () => {
      const { looseGoing, orphans: count, orphanBytes: bytes, ...plan } = await evictor.plan();
      return pruned(plan, looseGoing, { count, bytes });
    },
    prune: async () => {
      const { looseGone, orphansRemoved: count, orphanBytesRemoved: bytes, ...report } = await evictor.prune();
      return pruned(report, looseGone, { count, bytes });
    },
    evict: async (asked) => {
      const reports: Eviction[] = [];
      const reckoned = evictor.reckoning();
      for (const request of requestsOf(asked, registries)) {
        const named = request.kind === "registry" ? request.registryId : request.named;
        const report = await evictor.evict(request, reckoned);
        const eviction = evictionOf(report, await keptOf(options, report.pinned), named);
        const isThere = eviction.imageCount > 0 || eviction.kept.length > 0 || request.kind === "registry";
        reports.push(isThere ? eviction : await notHeld(catalog, request));
      }
      return reports.reduce(together, NOTHING);
    },
  };
}

/** What budgets and ages let go, or would, with what no image has. */
function pruned(
  { evicted, bytes, pinned, lacking }: Pick<PrunePlan, "evicted" | "bytes" | "pinned" | "lacking">,
  loose: Eviction["orphans"],
  orphans: Eviction["orphans"],
): Eviction {
  return {
    images: evicted.slice(0, TOLD_MAX),
    imageCount: evicted.length,
    bytes: bytes + orphans.bytes,
    kept: keptByPins(pinned),
    orphans: { count: orphans.count + loose.count, bytes: orphans.bytes + loose.bytes },
    lackingBytes: lackingBytes(lacking),
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
    const detail = name.problem === "unknown" ? `the registry ${name.host} is not configured here` : noImageText(named);
    throw badRequest(`${named}: ${detail}`, [{ pointer: `#/images/${index}`, detail }]);
  });
}

/** By their tags where they have some, and with the pin that keeps them; of many the last ones in fewer words. */
async function keptOf({ catalog, pins }: EvictingOptions, pinned: readonly string[]): Promise<Eviction["kept"]> {
  const now = await pins.now();
  const kept: { image: string; why: string }[] = [];
  for (const reference of pinned.slice(0, EXPLAINED_MAX)) {
    const [path = "", digest = ""] = reference.split("@");
    const [row] = await catalog.images({ path, digest: digest as Digest, limit: 1 });
    const repository = row === undefined ? undefined : { ...row, name: row.repository };
    const leaving = repository === undefined ? undefined : await catalog.leaving(repository, repository.digest);
    const tags = leaving?.tags ?? [];
    const digests = leaving?.manifests.map((one) => one.digest) ?? [];
    const pin = now.pinOf({ path, tags, digests });
    const image = tags.length === 0 ? reference : `${path}:${tags.join(", :")}`;
    kept.push({ image, why: pin === undefined ? "pinned" : `pinned by ${pin}` });
  }
  return [...kept, ...pinned.slice(EXPLAINED_MAX).map((image) => ({ image, why: "pinned" }))];
}

function evictionOf({ evicted, images, bytes, busy }: EvictReport, pinned: Eviction["kept"], named: string): Eviction {
  const kept = [...pinned];
  if (busy > 0) kept.push({ image: named, why: "something of its repository is being kept just now; ask again" });
  return { ...NOTHING, images: evicted, imageCount: images, bytes, kept };
}

/** Who names no tag means the one by default, which may not be the one that is held. */
async function notHeld(catalog: EvictingOptions["catalog"], request: NamedRequest): Promise<Eviction> {
  const found =
    request.kind === "image" && request.reference.kind === "tag"
      ? await catalog.images({ path: repositoryPath(request.repository), limit: IMAGES_PER_QUERY })
      : [];
  const why = notHeldText(found.flatMap(tagsOf));
  return { ...NOTHING, kept: [{ image: request.named, why }] };
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
