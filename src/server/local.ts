import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Handler } from "./handler.ts";
import { sendJson } from "./respond.ts";

/** The answer of a path outside the registry API. */
export interface LocalAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type LocalRoutes = Readonly<Record<string, (query: URLSearchParams) => Promise<LocalAnswer>>>;

/** Serves fixed paths with JSON: statistics and health. `assert` refuses, with a `RegistryError`, who may not have them. */
export function localHandler(routes: LocalRoutes, assert: (exchange: Exchange) => void = () => undefined): Handler {
  const serve = async (exchange: Exchange, answer: LocalRoutes[string]) => {
    if (exchange.req.method !== "GET" && !exchange.isHead) {
      throw new RegistryError(405, "UNSUPPORTED", "this path can only be read", {
        headers: { Allow: "GET, HEAD", Connection: "close" },
      });
    }
    assert(exchange);
    const { status, body, headers } = await answer(exchange.query);
    sendJson(exchange, status, body, { "Cache-Control": "no-store", ...headers });
    return true;
  };
  return (exchange) => {
    const answer = Object.hasOwn(routes, exchange.path) ? routes[exchange.path] : undefined;
    return answer !== undefined && serve(exchange, answer);
  };
}
