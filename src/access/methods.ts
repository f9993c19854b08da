import type { AccessConfig, AccessMethod, Listen } from "../config/config.ts";

/** What counts of `access` at one address. */
export interface AccessThere {
  readonly config: AccessConfig;
  /** Whether a registry's own `anonymous: true` lets in there as well. */
  readonly mayBeOpen: boolean;
}

/** All of `access`, or what an address chooses of it. With networks alone these are what lets in; with anything else nobody comes in nameless. */
export function accessThere(access: AccessConfig, { methods }: Pick<Listen, "methods">): AccessThere {
  if (methods === undefined) return { config: access, mayBeOpen: true };
  const chosen = new Set(methods);
  const isNamed = NAMING.some((method) => chosen.has(method));
  const anonymous = chosen.has("anonymous") || !isNamed;
  const config = {
    anonymous,
    networks: chosen.has("networks") ? access.networks : [],
    htpasswd: chosen.has("basic") || chosen.has("bearer") ? access.htpasswd : undefined,
    bearer: chosen.has("bearer") && access.bearer,
    mtls: chosen.has("mtls") ? access.mtls : undefined,
    paths: chosen.has("paths") ? access.paths : [],
    rules: access.rules,
    hosts: access.hosts,
  };
  return { config, mayBeOpen: anonymous };
}

/** By these somebody has a name. */
const NAMING: readonly AccessMethod[] = ["basic", "bearer", "mtls", "paths"];

/** How a client may say who it is. */
export type Way = "anonymous" | "basic" | "mtls" | "path";

/** By what clients can come in there, any of which is enough; for their set-up. */
export function waysIn({ config, mayBeOpen }: AccessThere): readonly Way[] {
  const { anonymous, htpasswd, mtls, paths } = config;
  const ways: Record<Way, boolean> = {
    anonymous: mayBeOpen && anonymous,
    basic: htpasswd !== undefined,
    mtls: mtls !== undefined,
    path: paths.length > 0,
  };
  return (["anonymous", "basic", "mtls", "path"] as const).filter((way) => ways[way]);
}
