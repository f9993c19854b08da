import type { Descriptor, Manifest } from "../../oci/manifest.ts";

/** Which platforms of an index are wanted: all of them, or these (`linux/arm64`, `linux/arm/v7`). */
export type Platforms = "all" | readonly string[];

const PLATFORM = /^[a-z0-9]{1,32}\/[a-z0-9_]{1,32}(\/[a-z0-9.]{1,32})?$/;
/** Of attestations, which belong to no platform. */
const NO_PLATFORM = "unknown/unknown";

/** `linux/amd64`; undefined for what is none. */
export function parsePlatform(text: string): string | undefined {
  const lower = text.toLowerCase();
  return PLATFORM.test(lower) ? lower : undefined;
}

export interface Choice {
  readonly children: readonly Descriptor[];
  /** Wanted platforms that it does not have. */
  readonly lacking: readonly string[];
}

/** What of an index is to be fetched; all of it where nothing in it says for which platform it is. */
export function chosen({ manifests }: Manifest, wanted: Platforms): Choice {
  if (wanted === "all" || manifests.every(({ platform }) => platform === undefined))
    return { children: manifests, lacking: [] };
  const children = manifests.filter(
    ({ platform }) => platform === undefined || wanted.some((one) => fits(platform, one)),
  );
  const lacking = wanted.filter(
    (one) => !manifests.some(({ platform }) => platform !== undefined && fits(platform, one)),
  );
  return { children, lacking };
}

/** The platforms that it does have, for people. */
export function platformsOf({ manifests }: Manifest): readonly string[] {
  const all = manifests.flatMap(({ platform }) => platform ?? []).filter((platform) => platform !== NO_PLATFORM);
  return [...new Set(all)];
}

/** A platform without a variant means all of them; arm64 is v8 where it does not say. */
function fits(platform: string, wanted: string): boolean {
  if (platform === NO_PLATFORM) return false;
  const isDefault = wanted.endsWith("/arm64/v8") && wanted === `${platform}/v8`;
  return platform === wanted || platform.startsWith(`${wanted}/`) || isDefault;
}
