import { setImmediate as otherWork } from "node:timers/promises";
import type { Repository } from "../../oci/reference.ts";
import type { ContentHolder, Mending } from "../../pull/mending.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Store } from "../../store/store.ts";

/** Links that are looked at before other work has its turn. */
const AT_ONCE = 100;

export interface LinksOptions {
  readonly store: Pick<Store, "contents" | "statBlob">;
  readonly mending: Pick<Mending, "mendTag">;
  /** Mends what leads to nothing. */
  readonly mend: (digest: Digest, holders: readonly ContentHolder[]) => Promise<void>;
  readonly onTag: (isMended: boolean) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Looks whether what the repository has leads to something: links to bytes, tags to links. */
export async function scrubLinks(repository: Repository, options: LinksOptions): Promise<void> {
  const { store, mending, mend, onTag, signal } = options;
  const { manifests, layers, tags, damagedLinks, damagedTags } = await store.contents(repository);
  const links = [
    ...manifests.map(({ digest }) => ({ kind: "manifest" as const, digest })),
    ...layers.map(({ digest }) => ({ kind: "layer" as const, digest })),
  ];
  for (const [index, { kind, digest }] of links.entries()) {
    if (index % AT_ONCE === 0) await otherWork();
    signal.throwIfAborted();
    if ((await store.statBlob(digest)) === undefined) await mend(digest, [{ repository, kind }]);
  }
  for (const { kind, digest } of damagedLinks) await mend(digest, [{ repository, kind }]);
  const linked = new Set([...manifests, ...damagedLinks].map(({ digest }) => digest));
  const leading = new Set(tags.map(({ digest }) => digest).filter((digest) => !linked.has(digest)));
  for (const digest of leading) await mend(digest, [{ repository, kind: "manifest" }]);
  for (const tag of damagedTags) await onTag(await mending.mendTag(repository, tag, signal));
}
