import { isTraced, SpanKind, type SpanOf, traceCalls, untraced } from "./lib/tracing.ts";
import type { Access } from "./access/access.ts";
import { referenceText, type Repository } from "./oci/reference.ts";
import type { Pull } from "./pull/pull.ts";
import type { Store } from "./store/store.ts";
import type { Upstream } from "./upstream/upstream.ts";

export interface TracedParts {
  readonly accesses: readonly Access[];
  readonly pull: Pull;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly store: Store;
}

/** Puts spans around what a pull goes through, where there is an SDK that wants them; otherwise nothing is touched. */
export function traceParts({ accesses, pull, upstreams, store }: TracedParts): void {
  if (!isTraced()) return;
  for (const access of accesses) traceCalls(access, "identify", () => ({ name: "access" }));
  tracePull(pull);
  for (const upstream of new Set(upstreams.values())) traceUpstream(upstream);
  traceStore(store);
}

function tracePull({ manifests, blobs, fills }: Pull): void {
  traceCalls(manifests, "get", (repository, reference) => of("pull manifest", repository, referenceText(reference)));
  traceCalls(blobs, "get", (repository, digest) => of("pull blob", repository, digest));
  traceCalls(blobs, "head", (repository, digest) => of("pull blob", repository, digest));
  traceCalls(
    fills,
    "start",
    (repository, digest) => of("fill", repository, digest),
    async (fill) => await fill.ended,
  );
}

function of(name: string, { registryId, name: repository }: Repository, reference: string): SpanOf {
  return {
    name,
    attributes: {
      "registry_cache.registry": registryId,
      "registry_cache.repository": repository,
      "registry_cache.reference": reference,
    },
  };
}

const ASKED = ["headManifest", "getManifest", "probeBlob", "openBlob", "listTags", "getReferrers"] as const;

const NAMES = {
  headManifest: "HEAD manifest",
  getManifest: "GET manifest",
  probeBlob: "HEAD blob",
  openBlob: "GET blob",
  listTags: "GET tags",
  getReferrers: "GET referrers",
} as const satisfies Record<(typeof ASKED)[number], string>;

function traceUpstream(upstream: Upstream): void {
  for (const method of ASKED) traceQuestion(upstream, method);
  const forTransfer = upstream.forTransfer.bind(upstream);
  upstream.forTransfer = (name) => {
    const transfers = forTransfer(name);
    if (transfers !== upstream) traceQuestion(transfers, "openBlob");
    return transfers;
  };
}

/** The upstream is told nothing of our traces: it is nobody's affair there which requests belong together. */
function traceQuestion<Key extends (typeof ASKED)[number]>(upstream: Pick<Upstream, Key>, method: Key): void {
  const ask = (upstream[method] as (...args: unknown[]) => unknown).bind(upstream);
  const silent = (...args: unknown[]) => untraced(() => ask(...args));
  upstream[method] = silent as never;
  traceCalls(upstream, method, (...[repository]) => ({
    name: `upstream ${NAMES[method]}`,
    kind: SpanKind.CLIENT,
    attributes: { "registry_cache.repository": repository },
  }));
}

function traceStore(store: Store): void {
  for (const method of ["putBlob", "link", "setTag", "openBlob", "readBlob"] as const) {
    traceCalls(store, method, () => ({ name: `store ${method}` }));
  }
  const open = store.openSpool.bind(store);
  store.openSpool = async (...args) => {
    const spool = await open(...args);
    traceCalls(spool, "commit", () => ({ name: "store commit" }));
    return spool;
  };
}
