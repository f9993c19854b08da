import { isIP } from "node:net";
import { hostname } from "node:os";
import type { Config } from "../config/config.ts";
import { Networks } from "../lib/networks.ts";
import { compileShared } from "../lib/glob.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Repository } from "../oci/reference.ts";
import type { Exchange } from "./exchange.ts";

/** Names under which nobody can have a page on the web: without a dot, or below a top-level name that is kept private. */
const PRIVATE_NAME = /^[^.]+$|\.(?:localhost|internal)$/;
/** `127.1` and the like; no top-level name is a number. */
const NUMBERS = /^[\d.]+$/;
const OWN_MACHINE = new Networks(["127.0.0.0/8", "::1"]);

/** The caller, as far as it matters. */
type Asking = Pick<Exchange, "client" | "identity" | "isSecure" | "req">;

/**
 * Against DNS rebinding: a page in a browser on this machine may have its own name lead to 127.0.0.1 and read what it gets from
 * there. It cannot do so under a name that is not its own, nor with TLS, nor with anybody's credentials.
 */
export class KnownHosts {
  readonly #names: ReadonlySet<string>;
  /** By a registry's id, whether a repository is given out although not everybody on the web may have it. */
  readonly #shares: ReadonlyMap<string, (name: string) => boolean>;

  /** Known are what is configured, addresses, the machine's own name, and names that no page can have. */
  constructor({ access, api, registries, url }: Pick<Config, "access" | "api" | "registries" | "url">) {
    const urlHost = url === undefined ? [] : [new URL(url).host];
    const configured = [
      ...access.hosts,
      ...api.hostnames,
      ...registries.flatMap(({ hostnames }) => hostnames),
      ...urlHost,
    ];
    this.#names = new Set([...configured, hostname()].map(nameOf));
    this.#shares = new Map(registries.map((one) => [one.id, compileShared(one.sharedRepositories)]));
  }

  /** Whether a repository is not for this request, which may be a page's. */
  hides({ registryId, name }: Repository, asking: Asking): boolean {
    return this.#shares.get(registryId)?.(name) === true && this.#isForeign(asking);
  }

  /** Refuses, with a `RegistryError`, whom such a repository is hidden from. */
  assertShown(repository: Repository, asking: Asking): void {
    if (this.hides(repository, asking)) this.assertOwn(asking);
  }

  /** Refuses, with a `RegistryError`, whatever may be a page's. */
  assertOwn(asking: Asking): void {
    if (!this.#isForeign(asking)) return;
    const name = JSON.stringify(nameOf(asking.req.headers.host ?? "").slice(0, NAME_SHOWN_MAX));
    throw new RegistryError(
      403,
      "DENIED",
      `lists and shared images are not given out on this machine under the name ${name}, which this cache does not know: ` +
        "ask for localhost or an address, or write the name under access.hosts",
    );
  }

  #isForeign({ client, identity, isSecure, req }: Asking): boolean {
    const { host } = req.headers;
    if (host === undefined || isSecure || identity.principal.method !== "anonymous") return false;
    return !this.#isKnown(nameOf(host)) && OWN_MACHINE.includes(client);
  }

  #isKnown(name: string): boolean {
    return PRIVATE_NAME.test(name) || NUMBERS.test(name) || isIP(name) !== 0 || this.#names.has(name);
  }
}

const NAME_SHOWN_MAX = 100;

/** `Cache.example.com.:5000` -> `cache.example.com`; `[::1]:5000` -> `::1`. */
function nameOf(host: string): string {
  const bare = /^\[([^\]]*)\]/.exec(host)?.[1] ?? host.replace(/:\d*$/, "").replace(/\.$/, "");
  return bare.toLowerCase();
}
