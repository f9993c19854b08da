import { mkdtemp, realpath, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import type { Logger } from "pino";
import type { Config } from "./config/config.ts";
import { openHeld } from "./held-files.ts";
import { packageVersion } from "./lib/version.ts";
import type { Repository } from "./oci/reference.ts";
import { filesystemReader } from "./store/filesystem.ts";
import { giveToOwner } from "./store/owner.ts";
import { importAll, type Openness } from "./upkeep/import/import.ts";
import { openSource } from "./upkeep/import/open.ts";
import { planImport } from "./upkeep/import/plan.ts";
import { type ImportPlan, type ImportReport, type ImportTally, Problems } from "./upkeep/import/report.ts";
import { ImportError, type ImportSource } from "./upkeep/import/source.ts";
import { reindex } from "./upkeep/reindex.ts";
import { createUpstreams } from "./upstream/create.ts";
import { FETCHED_BY_CLIENTS, UpstreamError } from "./upstream/upstream.ts";
import { Visibility } from "./upstream/visibility.ts";

/** What is to be taken over. */
export interface ImportRequest {
  readonly path: string;
  readonly registryId: string | undefined;
  readonly as: string | undefined;
  /** Who may have it, by the user's word; `ask`: by their upstreams'. */
  readonly openness: "ask" | "public" | "private";
}

/** The longest that a repository's upstream is waited for. */
const ASK_MS_MAX = 30_000;

/** Finds out what `importImages` would do. Writes nothing in the data folder, and may run beside the cache. */
export async function planOf(config: Config, request: ImportRequest, signal: AbortSignal): Promise<ImportPlan> {
  await assertElsewhere(config, request);
  const problems = new Problems();
  const store = filesystemReader(config.dataDir, config.minFreeDiskBytes);
  const folder = await mkdtemp(join(tmpdir(), "registry-cache-import-"));
  try {
    const room = async () => await freeBytes(folder);
    return await withSource(config, request, { problems, signal, unpackIn: folder, room }, async (source) =>
      planImport(source, store, await store.room(), { problems, signal }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

export interface Importing {
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly tally: ImportTally;
  /** Hears what is to come, before anything is written. */
  readonly onPlan: (plan: ImportPlan) => void;
  /** Hears that the images are in, and only the catalog is missing. */
  readonly onCatalog: () => void;
}

/**
 * Takes images over into the store, and brings the catalog up to date. What is done stays, however it ends. Rejects with an `ImportError`,
 * a `NoRoomError`, a `DataFolderBusyError`, or with the signal's reason.
 */
export async function importImages(
  config: Config,
  request: ImportRequest,
  importing: Importing,
): Promise<ImportReport> {
  await assertElsewhere(config, request);
  const { log, signal, tally } = importing;
  const problems = new Problems();
  const { lock, store, catalog } = await openHeld(config, log);
  try {
    // Until all is recorded, the next start must know that something may be missing.
    const wasWhole = !(await catalog.markInUse()) && !(await catalog.isEmpty());
    const opening = { problems, signal, unpackIn: config.dataDir, room: async () => await store.room() };
    const source = await withSource(config, request, opening, async (open) => {
      importing.onPlan(await planImport(open, store, await store.room(), { problems, signal }));
      const asking = opennessBy(config, request, signal);
      try {
        const { ask: opennessOf } = asking;
        const options = { source: open, store, opennessOf, privateMark: FETCHED_BY_CLIENTS, tally, problems, signal };
        await importAll(options);
      } finally {
        await asking.close();
      }
      return open.kind;
    });
    if (!wasWhole || tally.hasWritten) {
      importing.onCatalog();
      await reindex(store, catalog, config.registries, log, signal);
    }
    await catalog.markSettled();
    return tally.report(source, problems);
  } finally {
    await catalog.close();
    await giveToOwner(config.dataDir);
    lock.release();
  }
}

interface Opening {
  readonly problems: Problems;
  readonly signal: AbortSignal;
  readonly unpackIn: string;
  readonly room: () => Promise<number>;
}

async function withSource<T>(
  { registries }: Config,
  { path, registryId, as }: ImportRequest,
  { problems, ...opening }: Opening,
  work: (source: ImportSource) => Promise<T>,
): Promise<T> {
  if (registryId !== undefined && !registries.some(({ id }) => id === registryId)) {
    const known = registries.map(({ id }) => id).join(", ");
    throw new ImportError(`--registry ${registryId}: no such registry`, `it is one of ${known}`);
  }
  const source = await openSource({ ...opening, path, registries, registryId, as, onProblem: problems.add });
  try {
    return await work(source);
  } finally {
    await source.close();
  }
}

async function assertElsewhere({ dataDir }: Config, { path }: ImportRequest): Promise<void> {
  const [own, other] = await Promise.all([realpath(dataDir).catch(() => resolve(dataDir)), realOrSame(path)]);
  if (own === other || other.startsWith(own + sep))
    throw new ImportError(`${path}: that is this cache's own data folder`, "name the folder that is to be taken over");
}

async function realOrSame(path: string): Promise<string> {
  return await realpath(path).catch(() => resolve(path));
}

/** Asks upstreams without credentials, as a stranger would. Nobody is asked where the user has said it. */
function opennessBy(
  { registries, proxy }: Config,
  { openness }: ImportRequest,
  signal: AbortSignal,
): { ask: (repository: Repository) => Promise<Openness>; close: () => Promise<void> } {
  if (openness !== "ask") return { ask: async () => openness, close: async () => undefined };
  const strangers = registries.map((one) => ({
    ...one,
    credentials: undefined,
    sharedRepositories: [],
    passThrough: false,
  }));
  const upstreams = createUpstreams(strangers, { version: packageVersion(), proxy });
  const nowMs = () => performance.now();
  const visibilities = new Map([...upstreams].map(([id, stranger]) => [id, new Visibility({ stranger, nowMs })]));
  return {
    ask: async ({ registryId, name }) => {
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]);
      try {
        return (await visibilities.get(registryId)?.isPublic(name, inTime)) === true ? "public" : "private";
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof UpstreamError) return "unknown";
        throw error;
      }
    },
    close: async () => {
      await Promise.all([...new Set(upstreams.values())].map((upstream) => upstream.close()));
    },
  };
}
