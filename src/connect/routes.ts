import { basicCredentials } from "../access/authorization.ts";
import type { Handler } from "../server/handler.ts";
import type { Exchange } from "../server/exchange.ts";
import { challengedOf } from "../server/guard.ts";
import { sendJson, sendText } from "../server/respond.ts";
import { RegistryError } from "../oci/errors.ts";
import { BY_DEFAULT, type Client, type ConnectOptions } from "./client.ts";
import { clientNamed, CLIENTS } from "./clients.ts";
import { type DescribedConfig, describe } from "./describe.ts";
import { type KnownSecrets, setupScript } from "./script.ts";
import type { CacheView } from "./view.ts";

/** Where hosts get what sets them up: `/connect` describes the cache, `/connect/<client>` is a script. */
export const CONNECT_PATH = "/connect";

/**
 * Answers whoever may come in, and no page in a browser (`assertOwn` refuses those). No secret is in an answer but the caller's
 * own, and that only where it asks for it (`?credentials=yes`).
 */
export function connectHandler(config: DescribedConfig, assertOwn: (exchange: Exchange) => void): Handler {
  const answer = async (exchange: Exchange): Promise<boolean> => {
    assertMayConnect(exchange);
    assertOwn(exchange);
    const view = describe(config, originOf(exchange), exchange.access.ways);
    const word = exchange.path.slice(CONNECT_PATH.length + 1);
    if (word === "") sendJson(exchange, 200, { ...view, clients: CLIENTS.map(listed) }, NO_STORE);
    else sendText(exchange, scriptFor(exchange, view, word), "text/x-shellscript; charset=utf-8", NO_STORE);
    return true;
  };
  return (exchange) => {
    const { path } = exchange;
    return (path === CONNECT_PATH || path.startsWith(`${CONNECT_PATH}/`)) && answer(exchange);
  };
}

export const NO_STORE = { "Cache-Control": "no-store" };

/** Refuses, with a `RegistryError`, who may not come in at all, and who wants to do more than read. */
export function assertMayConnect(exchange: Exchange): void {
  exchange.notes.endpoint = "connect";
  assertRead(exchange);
  // Whoever has a name is in somewhere; there is nothing of a single registry in it.
  if (exchange.identity.principal.method === "anonymous") {
    exchange.access.assertIn(exchange.identity, undefined, () => challengedOf(exchange));
  }
}

function listed({ name, aliases, title }: Client) {
  return { name, aliases, title };
}

function scriptFor(exchange: Exchange, view: CacheView, word: string): string {
  const client = clientNamed(word);
  if (client === undefined) {
    const known = CLIENTS.map(({ name }) => name).join(", ");
    throw new RegistryError(404, "NAME_UNKNOWN", `no such client here; there are ${known}`);
  }
  return setupScript(client, view, optionsOf(exchange.query, view), secretsOf(exchange));
}

function optionsOf(query: URLSearchParams, { registries }: CacheView): ConnectOptions {
  const only = query.get("only")?.split(",");
  const unknown = only?.find((name) => registries.every(({ serves }) => serves !== name));
  if (unknown !== undefined) {
    const known = registries.map(({ serves }) => serves).join(", ");
    throw new RegistryError(400, "NAME_UNKNOWN", `only names what is not served here; there are ${known}`);
  }
  const fallback = query.get("fallback") ?? "yes";
  if (fallback !== "yes" && fallback !== "no") {
    throw new RegistryError(400, "UNSUPPORTED", "fallback is yes or no: whether clients ask the registry itself too");
  }
  return { only: only ?? BY_DEFAULT.only, fallback: fallback === "yes" };
}

/** The caller's own, on demand. */
function secretsOf({ identity, query, req, secret }: Exchange): KnownSecrets {
  if (query.get("credentials") !== "yes") return {};
  if (secret !== undefined) return { pathToken: secret };
  const basic = identity.principal.method === "basic" ? basicCredentials(req.headers.authorization) : undefined;
  if (basic !== undefined) return basic;
  throw new RegistryError(
    400,
    "UNSUPPORTED",
    "credentials=yes writes the caller's own user and password into the script, and none came along (curl --user NAME)",
  );
}

function assertRead({ req, isHead }: Exchange): void {
  if (req.method === "GET" || isHead) return;
  throw new RegistryError(405, "UNSUPPORTED", "this path can only be read", {
    headers: { Allow: "GET, HEAD", Connection: "close" },
  });
}

/** The address by which the host that asks reaches us. It becomes part of a script. */
export function originOf({ req, isSecure }: Exchange): string {
  const host = req.headers.host ?? "";
  const origin = `${isSecure ? "https" : "http"}://${host}`;
  if (/^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(host) && URL.canParse(origin)) {
    return new URL(origin).origin;
  }
  throw new RegistryError(
    400,
    "UNSUPPORTED",
    "the Host header is not an address that could be written into a client's settings",
  );
}
