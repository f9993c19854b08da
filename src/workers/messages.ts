import type { Use } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import type { TagState } from "../pull/held.ts";

/** What a front needs to know, as the owner sends it; no credentials among it. */
export interface FrontSetup {
  readonly config: FrontConfig;
  /** Where the owner answers what a front cannot. */
  readonly ownerSocket: string;
}

export type FrontConfig = Pick<
  Config,
  "dataDir" | "defaultRegistry" | "listen" | "log" | "registries" | "stopTimeoutMs" | "tls"
>;

/** A tag and where it points. */
export interface TagNews {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly state: TagState;
}

export type ToFront =
  | ({ readonly kind: "setup" } & FrontSetup)
  /** Upstream has confirmed or moved it, or the front has asked. */
  | ({ readonly kind: "tag" } & TagNews)
  | { readonly kind: "stop" };

export type ToOwner =
  /** It runs, and wants its setup. */
  | { readonly kind: "awake" }
  | { readonly kind: "listening"; readonly addresses: readonly string[] }
  | { readonly kind: "failed"; readonly error: SystemFailure }
  /** Where does it point? */
  | { readonly kind: "follow"; readonly repository: Repository; readonly tag: Tag }
  | { readonly kind: "used"; readonly uses: readonly Use[] }
  | { readonly kind: "damaged"; readonly digest: Digest }
  | { readonly kind: "stopped"; readonly cutRequests: number };

/** A system's error on its way between processes. */
export interface SystemFailure {
  readonly message: string;
  readonly code?: string;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
}

export function failureOf(error: unknown): SystemFailure {
  if (!(error instanceof Error)) return { message: String(error) };
  const { message, code, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  return {
    message,
    ...(code === undefined ? {} : { code }),
    ...(syscall === undefined ? {} : { syscall }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
  };
}

/** The same error on the other side. */
export function errorOf(failure: SystemFailure): Error {
  return Object.assign(new Error(failure.message), failure);
}
