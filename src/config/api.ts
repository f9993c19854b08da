import { shown } from "../lib/units.ts";
import type { AccessConfig, ApiConfig, RegistryConfig } from "./config.ts";
import type { Finding } from "./issues.ts";
import type { ApiInput } from "./schema.ts";

export function apiConfig({ hostnames = [], read = "pullers", metrics = "pullers", admins = [] }: ApiInput): ApiConfig {
  return { hostnames: [...new Set(hostnames)], read, metrics, admins: [...new Set(admins)] };
}

/** A name can lead to one thing only. */
export function checkApi({ hostnames }: ApiConfig, registries: readonly RegistryConfig[]): Finding[] {
  return hostnames.flatMap((name, index) => {
    const taken = registries.find((one) => one.hostnames.includes(name));
    if (taken === undefined) return [];
    const message = `${shown(name)} is a host name of the registry ${taken.id} as well`;
    return [{ path: ["api", "hostnames", index], message, hint: "take another name for one of the two" }];
  });
}

/** Admins are known by their names, which nobody has where nobody can say who they are. */
export function apiWarnings({ admins, read, metrics }: ApiConfig, { htpasswd, mtls }: AccessConfig): string[] {
  if (htpasswd !== undefined || mtls !== undefined) return [];
  if (admins.length > 0) return ["api.admins names users, and there is no way to say who one is: see access.basic"];
  const closed = [read, metrics].includes("admins");
  return closed ? ["what is for admins alone nobody can read from elsewhere: name them in api.admins"] : [];
}
