import { setImmediate as otherWork } from "node:timers/promises";
import type { Catalog, HeldRoot, Leaving } from "../../catalog/catalog.ts";
import { compileImageGlob } from "../../lib/glob.ts";
import { type Reference, type Repository, repositoryPath } from "../../oci/reference.ts";
import type { Departures } from "../../pull/departures.ts";
import type { PinsNow } from "../pins/pins.ts";
import { isPinned } from "./clear.ts";
import { type Evicted, evictedOf, type PlanningHand } from "./hands.ts";

/** Roots looked at before other work gets its turn. */
const PAGE = 50;
/** So many are told of one by one. */
export const TOLD_MAX = 1_000;

/** What somebody wants to be gone. */
export type EvictRequest = (
  | { readonly kind: "image"; readonly repository: Repository; readonly reference: Reference }
  /** Over whole images: `docker.io/library/*`, `ghcr.io/org/**:v*`. */
  | { readonly kind: "glob"; readonly glob: string }
  | { readonly kind: "registry"; readonly registryId: string }
) & { readonly isDryRun?: boolean };

export interface EvictReport {
  /** At most TOLD_MAX of them. */
  readonly evicted: readonly Evicted[];
  /** All of them. */
  readonly images: number;
  readonly bytes: number;
  /** Images that were meant and stay since they are pinned: their references, at most TOLD_MAX. */
  readonly pinned: readonly string[];
  /** Images that stay since somebody was keeping something in their repositories. */
  readonly busy: number;
}

export interface AskedOptions {
  readonly catalog: Pick<Catalog, "leastUsed" | "leaving" | "rootsOf" | "tag">;
  readonly departures: Pick<Departures, "remove">;
  readonly pins: PinsNow;
  readonly onEvicted: (evicted: Evicted) => void;
  /** What dry runs before this one have reckoned with as gone. */
  readonly planning: PlanningHand;
  readonly signal: AbortSignal;
}

/**
 * Evicts what is asked for. Rejects with a `ValueError` for a pattern that is none.
 */
export async function evictAsked(request: EvictRequest, options: AskedOptions): Promise<EvictReport> {
  const { catalog, departures, pins, onEvicted, planning, signal } = options;
  const evicted: Evicted[] = [];
  const pinned: string[] = [];
  let [images, bytes, busy] = [0, 0, 0];
  for await (const root of rootsMeant(request, options)) {
    signal.throwIfAborted();
    const { repository, digest } = root;
    const find = async () => await catalog.leaving(repository, digest);
    const leaving = request.isDryRun === true ? await planning.leaving(root) : await find();
    if (leaving === undefined || !isMeant(request, leaving)) continue;
    if (isPinned(pins, leaving)) {
      if (pinned.length < TOLD_MAX) pinned.push(`${repositoryPath(repository)}@${digest}`);
      continue;
    }
    const one =
      request.isDryRun === true ? await planned(planning, leaving) : await departures.remove(repository, find);
    if (one === "busy") busy += 1;
    if (one === undefined || one === "busy") continue;
    const told = "why" in one ? one : evictedOf(one, "asked");
    if (request.isDryRun !== true) onEvicted(told);
    images += 1;
    bytes += told.bytes;
    if (evicted.length < TOLD_MAX) evicted.push(told);
  }
  return { evicted, images, bytes, pinned, busy };
}

async function planned(planning: PlanningHand, leaving: Leaving): Promise<Evicted | undefined> {
  await planning.take(leaving, "asked");
  return planning.planned.pop();
}

type MeantRoot = Pick<HeldRoot, "digest" | "repository">;

async function* rootsMeant(
  request: EvictRequest,
  { catalog }: Pick<AskedOptions, "catalog">,
): AsyncGenerator<MeantRoot, void, void> {
  if (request.kind === "image") {
    const { repository, reference } = request;
    const digest =
      reference.kind === "digest" ? reference.digest : (await catalog.tag(repository, reference.tag))?.digest;
    const roots = digest === undefined ? [] : await catalog.rootsOf(repository, digest);
    yield* roots.map((root) => ({ repository, digest: root }));
    return;
  }
  const isOfRepository = repositoriesOf(request);
  for (let after: HeldRoot | undefined; ;) {
    const page = await catalog.leastUsed({ after, limit: PAGE });
    yield* page.filter(({ repository }) => isOfRepository(repository));
    after = page.at(-1);
    if (page.length < PAGE) return;
    await otherWork();
  }
}

function repositoriesOf(request: Exclude<EvictRequest, { kind: "image" }>): (repository: Repository) => boolean {
  if (request.kind === "registry") return ({ registryId }) => registryId === request.registryId;
  const { glob } = request;
  const colon = glob.indexOf(":", glob.lastIndexOf("/") + 1);
  compileImageGlob(glob);
  const matches = compileImageGlob(colon === -1 ? glob : glob.slice(0, colon));
  return (repository) => matches(repositoryPath(repository), undefined);
}

/** A pattern with a tag means images with such a tag. */
function isMeant(request: EvictRequest, { repository, tags }: Leaving): boolean {
  if (request.kind !== "glob") return true;
  const matches = compileImageGlob(request.glob);
  const path = repositoryPath(repository);
  return matches(path, undefined) || tags.some((tag) => matches(path, tag));
}
