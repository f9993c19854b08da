import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { Quota } from "../upstream/quota.ts";
import type { QuotaVerdict } from "../upstream/upstream.ts";
import type { Events } from "./events.ts";

/** An image, or a blob that no held manifest names (then without a digest of one), that was taken away. */
interface Evicted {
  readonly repository: Repository;
  readonly digest: Digest | undefined;
  readonly tags: readonly Tag[];
  /** That came back. */
  readonly bytes: number;
  /** One of few. */
  readonly why: string;
}

/** Callbacks for those who see what happens, and who know nothing of events. */
export function eventSources(events: Pick<Events, "publish">) {
  return {
    onNewDigest: (repository: Repository, digest: Digest, size: number) =>
      events.publish({ name: "digest.new", data: { image: `${repositoryPath(repository)}@${digest}`, digest, size } }),
    onTagMoved: (repository: Repository, tag: Tag, from: Digest, to: Digest) =>
      events.publish({ name: "tag.moved", data: { image: `${repositoryPath(repository)}:${tag}`, from, to } }),
    onVanished: (repository: Repository, tag: Tag, digest: Digest) =>
      events.publish({ name: "tag.vanished", data: { image: `${repositoryPath(repository)}:${tag}`, digest } }),
    onEvicted: ({ repository, digest, tags: [tag], bytes, why }: Evicted) => {
      if (digest === undefined) return;
      const path = repositoryPath(repository);
      const image = tag === undefined ? `${path}@${digest}` : `${path}:${tag}`;
      events.publish({ name: "image.evicted", data: { image, digest, bytes, reason: why } });
    },
    /** `isHealed` by whoever tries at once to have it anew. */
    onDamaged: (digest: Digest, isHealed?: boolean) =>
      events.publish({
        name: "content.damaged",
        data: isHealed === undefined ? { digest } : { digest, healed: isHealed },
      }),
    onTrouble: (names: readonly string[], reason: string) =>
      events.publish({ name: "certificate.trouble", data: { names, reason } }),
    onUpstream: (registry: string, state: "down" | "up", why: string | undefined) =>
      events.publish({
        name: state === "up" ? "upstream.up" : "upstream.down",
        data: why === undefined ? { registry } : { registry, reason: why },
      }),
    onQuota: (registry: string, verdict: QuotaVerdict, { limit, remaining }: Quota) =>
      events.publish({ name: QUOTA_EVENTS[verdict], data: { registry, limit, remaining } }),
  };
}

const QUOTA_EVENTS = { plenty: "quota.restored", low: "quota.low", spent: "quota.spent" } as const;
