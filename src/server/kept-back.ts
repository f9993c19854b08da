import type { MinAge, Quarantine } from "../access/quarantine.ts";
import type { Reference, Repository } from "../oci/reference.ts";
import type { ManifestAnswer } from "../pull/manifests.ts";

/** As `ManifestPull.get`, of one repository. */
export type GetManifest = (reference: Reference, confirmedSinceMs?: number) => Promise<ManifestAnswer>;

/**
 * The manifest, where it is old enough; by a tag else what that pointed to before. What is too new is fetched and kept all the same: its
 * age begins to count. Rejects with a `RegistryError`.
 */
export async function oldEnough(
  quarantine: Quarantine,
  get: GetManifest,
  repository: Repository,
  reference: Reference,
  minAge: MinAge,
): Promise<ManifestAnswer> {
  if (reference.kind === "digest") {
    const answer = await get(reference);
    await quarantine.assertOver(repository, answer.digest, "manifest", minAge, Date.now());
    return answer;
  }
  const answer = await confirmed(quarantine, get, repository, reference, minAge);
  // Upstream has not said that a tag leads to what it is held at: it is as if that had been asked for by its digest.
  if (answer.outcome.byHold === true) {
    await quarantine.assertOver(repository, answer.digest, "manifest", minAge, Date.now());
    return answer;
  }
  const present = { digest: answer.digest, confirmedAtMs: answer.confirmedAtMs ?? 0 };
  const digest = await quarantine.over(repository, reference.tag, present, minAge, Date.now());
  if (digest === answer.digest) return answer;
  const before = await get({ kind: "digest", digest });
  return { ...before, outcome: { kind: "quarantined", newer: answer.digest, rule: minAge.rule } };
}

/** Upstream has to say once that the tag points there still, after that became old enough: also where it need not be asked otherwise. */
async function confirmed(
  quarantine: Quarantine,
  get: GetManifest,
  repository: Repository,
  reference: Reference,
  minAge: MinAge,
): Promise<ManifestAnswer> {
  const answer = await get(reference);
  if (answer.outcome.kind !== "hit" || answer.outcome.byHold === true) return answer;
  const nowMs = Date.now();
  const overAtMs = await quarantine.overAtMs(repository, answer.digest, minAge, nowMs);
  return nowMs < overAtMs ? answer : await get(reference, overAtMs);
}
