import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { isIP } from "node:net";
import { Networks } from "../lib/networks.ts";

/** More than any chain of proxies has. */
const HOPS_MAX = 20;
/** Addresses that are told of: a client may say whatever it likes, and from many of them. */
const TOLD_MAX = 100;

/** Whom to believe about where a request came from: proxies in front of us, by their addresses. */
export class Proxies {
  readonly #trusted: Networks | undefined;
  readonly #onUntrusted: (address: string) => void;
  readonly #told = new Set<string>();

  /** `onUntrusted` hears once of each address that says what a proxy says, and is not believed. */
  constructor(networks: readonly string[], onUntrusted: (address: string) => void = () => undefined) {
    this.#onUntrusted = onUntrusted;
    this.#trusted = networks.length === 0 ? undefined : new Networks(networks);
  }

  /**
   * The address of the client itself: the last one in `X-Forwarded-For` that is not of a trusted proxy. What stands before it
   * anybody may have written.
   */
  clientOf({ socket, headers }: IncomingMessage): string | undefined {
    const { remoteAddress } = socket;
    if (headers["x-forwarded-proto"] !== undefined) this.#tellUnlessTrusted(remoteAddress);
    const forwarded = headers["x-forwarded-for"];
    if (forwarded === undefined || !this.#isTrusted(remoteAddress)) return remoteAddress;
    const hops = String(forwarded).split(",").slice(-HOPS_MAX).map(addressOf);
    let client = remoteAddress;
    for (const hop of hops.toReversed()) {
      if (hop === undefined) return client;
      client = hop;
      if (!this.#isTrusted(hop)) return client;
    }
    return client;
  }

  /** Whether the client spoke TLS, to us or to the proxy in front of us. */
  isSecure({ socket, headers }: IncomingMessage): boolean {
    if (socket instanceof TLSSocket) return true;
    return this.#isTrusted(socket.remoteAddress) && headers["x-forwarded-proto"] === "https";
  }

  #tellUnlessTrusted(address: string | undefined): void {
    if (address === undefined || this.#told.has(address) || this.#told.size >= TOLD_MAX) return;
    if (this.#isTrusted(address)) return;
    this.#told.add(address);
    this.#onUntrusted(address);
  }

  #isTrusted(address: string | undefined): boolean {
    return this.#trusted?.includes(address) === true;
  }
}

/** `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711`; undefined for what is no address. */
function addressOf(text: string): string | undefined {
  const trimmed = text.trim();
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(trimmed)?.[1] ?? /^([^:]+):\d+$/.exec(trimmed)?.[1] ?? trimmed;
  return isIP(bare) === 0 ? undefined : bare;
}
