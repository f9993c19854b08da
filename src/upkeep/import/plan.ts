import type { Digest } from "../../oci/digest.ts";
import type { Store } from "../../store/store.ts";
import type { ImportPlan, Problems } from "./report.ts";
import type { ImportSource } from "./source.ts";

export type PlanStore = Pick<Store, "statBlob" | "roomToAdopt">;

/** Looks at everything and reads next to nothing. Ends with the signal's reason when that aborts. */
export async function planImport(
  source: ImportSource,
  store: PlanStore,
  room: number,
  { problems, signal }: { readonly problems: Problems; readonly signal: AbortSignal },
): Promise<ImportPlan> {
  const seen = new Set<Digest>();
  const held = { blobs: 0, bytes: 0 };
  const wanted = { blobs: 0, bytes: 0 };
  let [repositories, manifests, tags, missing, roomNeeded] = [0, 0, 0, 0, 0];
  for await (const one of source.repositories()) {
    repositories += 1;
    manifests += one.manifests.length;
    tags += one.tags.length;
    for (const { digest } of [...one.manifests, ...one.layers]) {
      signal.throwIfAborted();
      if (seen.has(digest)) continue;
      seen.add(digest);
      const file = await source.find(digest);
      if (file === undefined) {
        missing += 1;
        continue;
      }
      const amount = (await store.statBlob(digest)) === file.size ? held : wanted;
      amount.blobs += 1;
      amount.bytes += file.size;
      if (amount === wanted) roomNeeded += await store.roomToAdopt(file);
    }
  }
  return {
    source: source.kind,
    repositories,
    manifests,
    tags,
    blobs: held.blobs + wanted.blobs,
    bytes: held.bytes + wanted.bytes,
    held,
    wanted,
    roomNeeded,
    room,
    missing,
    problems: problems.kept,
    problemCount: problems.count,
  };
}
