import type { ApiConfig } from "../config/config.ts";
import { compileNameGlob } from "../lib/glob.ts";
import { Networks } from "../lib/networks.ts";
import type { Exchange } from "../server/exchange.ts";
import { challengedOf } from "../server/guard.ts";
import type { KnownHosts } from "../server/known-hosts.ts";
import { ProblemError } from "../server/problem.ts";
import type { ApiCaller } from "./api/asked.ts";

const OWN_MACHINE = new Networks(["127.0.0.0/8", "::1"]);

/** Who may see and govern the cache from elsewhere. */
export class WhoMay {
  readonly #config: Pick<ApiConfig, "admins" | "read">;
  readonly #hosts: Pick<KnownHosts, "assertOwn">;
  readonly #admins: readonly ((name: string) => boolean)[];

  /** `read` says who reads: `api.read`, or `api.metrics` where that is asked for. */
  constructor(config: Pick<ApiConfig, "admins" | "read">, hosts: Pick<KnownHosts, "assertOwn">) {
    this.#config = config;
    this.#hosts = hosts;
    this.#admins = config.admins.map(compileNameGlob);
  }

  /** Refuses, with an error, who may not read; a page in a browser never may. */
  assertMayRead(exchange: Exchange): ApiCaller {
    const { access, identity } = exchange;
    const isAdmin = this.#isAdmin(exchange) && isSafe(exchange);
    if (this.#config.read === "pullers") access.assertInEverywhere(identity, () => challengedOf(exchange));
    if (this.#config.read === "admins" && !this.#isAdmin(exchange)) throw this.#notAdmin(exchange);
    this.#hosts.assertOwn(exchange);
    return { name: identity.principal.name, isAdmin };
  }

  /** Refuses, with an error, who may not act, and whatever a page elsewhere may have made a browser send. */
  assertMayAct(exchange: Exchange): ApiCaller {
    this.#hosts.assertOwn(exchange);
    assertNoPage(exchange);
    if (!this.#isAdmin(exchange)) throw this.#notAdmin(exchange);
    if (!isSafe(exchange)) {
      throw new ProblemError(403, "acting needs TLS, or to be asked for on the cache's own machine");
    }
    assertJson(exchange);
    return { name: exchange.identity.principal.name, isAdmin: true };
  }

  /** Secret paths are known to more people than one, and stand in logs elsewhere. */
  #isAdmin({ identity: { principal } }: Exchange): boolean {
    if (principal.method === "anonymous" || principal.method === "path") return false;
    return this.#admins.some((matches) => matches(principal.name));
  }

  #notAdmin(exchange: Exchange): Error {
    const { access, identity } = exchange;
    if (identity.principal.method !== "anonymous") {
      return new ProblemError(403, `${identity.principal.name} is not among api.admins of this cache`);
    }
    if (this.#admins.length > 0 && access.ways.includes("basic")) {
      const message = identity.isWrong ? "the user or the password is wrong" : "this needs a user of api.admins";
      return new ProblemError(401, message, { headers: { "WWW-Authenticate": 'Basic realm="registry-cache"' } });
    }
    const how = "it can be done on the cache's own machine, by registry-cache commands; see api.admins for others";
    return new ProblemError(403, `this needs somebody of api.admins: ${how}`);
  }
}

/** Whether nobody on the way has seen what was said, nor can have changed it. */
function isSafe({ isSecure, client, req }: Exchange): boolean {
  if (isSecure) return true;
  // A proxy on this machine that is not trusted asks for somebody elsewhere.
  const isProxied = req.headers["x-forwarded-for"] !== undefined || req.headers["forwarded"] !== undefined;
  return !isProxied && OWN_MACHINE.includes(client);
}

/** Browsers say on whose behalf they ask; programs say nothing. */
function assertNoPage({ req }: Exchange): void {
  const { origin, host } = req.headers;
  const site = req.headers["sec-fetch-site"];
  const isOurs = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host?.toLowerCase());
  if (isOurs && (site === undefined || site === "same-origin" || site === "none")) return;
  throw new ProblemError(403, "a page of another origin may not act here");
}

/** No form of a page can send it without having asked first, which is never allowed here. */
function assertJson({ req }: Exchange): void {
  const { "content-type": type = "", "content-length": length, "transfer-encoding": encoding } = req.headers;
  if (/^application\/json\s*(?:;|$)/i.test(type)) return;
  const hasBody = encoding !== undefined || Number(length ?? 0) > 0;
  // Nor can a form say DELETE.
  if (req.method === "DELETE" && !hasBody && type === "") return;
  throw new ProblemError(415, "send Content-Type: application/json, also where there is no body");
}
