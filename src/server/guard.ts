import type { Logger } from "pino";
import type { Caller } from "../access/access.ts";
import type { Challenged } from "../access/challenges.ts";
import type { Bypassing } from "../access/bypassing.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import type { RegistryTable } from "./find-registry.ts";
import { CLIENT_HEADER, RIGHT_HEADER } from "./front-headers.ts";
import type { Handler } from "./handler.ts";

export interface GuardOptions {
  readonly registries: Pick<RegistryTable, "ofHost">;
  readonly bypassing: Pick<Bypassing, "welcomed">;
  readonly log: Pick<Logger, "warn">;
}

/** Finds out who is asking, for the handlers after it; answers nobody but those who may not ask at all. */
export function guard({ registries, bypassing, log }: GuardOptions): Handler {
  const warned = new Set<string>();
  const find = async (exchange: Exchange, passesTo: string | undefined): Promise<boolean> => {
    const { headers } = exchange.req;
    exchange.identity = await exchange.access.identify({ ...callerOf(exchange), passesTo });
    const { principal, isWrong, offer } = exchange.identity;
    Object.assign(exchange.notes, principalNote(exchange));
    if ((principal.method !== "anonymous" || offer !== undefined) && exchange.client !== undefined)
      bypassing.welcomed(exchange.client, Date.now());
    // A client that calls itself a front is told what it knows anyway.
    if (principal.method === "basic" && headers[CLIENT_HEADER] !== undefined) exchange.headers[RIGHT_HEADER] = "1";
    if (isWrong && isDocker(headers["user-agent"])) warnOf(exchange.client ?? "", warned, log);
    return false;
  };
  return (exchange) =>
    // A secret path that nobody knows is refused all the same.
    exchange.access.isOpen && exchange.secret === undefined ? false : find(exchange, passesToOf(exchange, registries));
}

/** The registry, by id, whose host name was asked, where credentials are passed to its upstream. */
export function passesToOf({ req }: Exchange, registries: Pick<RegistryTable, "ofHost">): string | undefined {
  const registry = req.headers.host === undefined ? undefined : registries.ofHost(req.headers.host);
  return registry?.passThrough === true ? registry.id : undefined;
}

/** The same handler; whoever is refused for want of credentials is remembered, until it comes back. */
export function noticing(bypassing: Pick<Bypassing, "challenged">, handler: Handler): Handler {
  const noticed = async (exchange: Exchange, answered: Promise<boolean>): Promise<boolean> => {
    try {
      return await answered;
    } catch (error) {
      if (error instanceof RegistryError && error.code === "UNAUTHORIZED") {
        bypassing.challenged(exchange.client ?? "", exchange.req.headers["user-agent"] ?? "", Date.now());
      }
      throw error;
    }
  };
  return (exchange) => {
    const answered = handler(exchange);
    return answered === false || exchange.access.isOpen ? answered : noticed(exchange, answered);
  };
}

/** What the request says of who is asking. */
export function callerOf({ client, req, secret, certificateNames }: Exchange): Caller {
  return { address: client, authorization: req.headers.authorization, secret, certificateNames };
}

/** Of the token service. */
export const TOKEN_PATH = "/token";

/** Where a client that is refused may get a token: here, by the name that it has for us. */
export function challengedOf({ isSecure, req }: Exchange, repository?: string): Challenged {
  const { host } = req.headers;
  const tokenUrl =
    host === undefined || host === "" ? undefined : `${isSecure ? "https" : "http"}://${host}${TOKEN_PATH}`;
  return { tokenUrl, scope: repository === undefined ? undefined : `repository:${repository}:pull` };
}

/** For the log: nobody's name is not worth a word. */
export function principalNote({ identity: { principal } }: Exchange): { principal?: string } {
  return principal.method === "anonymous" ? {} : { principal: principal.name };
}

/** Docker Engine: `docker/28.0 go/go1.23 ... UpstreamClient(...)`. */
function isDocker(userAgent: string | undefined): boolean {
  return userAgent?.startsWith("docker/") === true;
}

/** Told once for each, and not for more than so many: they come again with each pull. */
const WARNED_MAX = 1_000;

/** Docker sends whatever it has for docker.io to a mirror that asks for a password (moby issue 30880). */
function warnOf(client: string, warned: Set<string>, log: Pick<Logger, "warn">): void {
  if (warned.has(client) || warned.size >= WARNED_MAX) return;
  warned.add(client);
  log.warn(
    { client },
    "a Docker Engine has sent a password that is unknown here, most likely that of its user at Docker Hub; it was not kept: " +
      "give its `registry-mirrors` a secret path (access.paths) instead",
  );
}
