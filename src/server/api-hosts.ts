import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Handler } from "./handler.ts";
import { isOfApi } from "./problem.ts";

/** What is served under a host name that is for the API alone. */
const PATHS: ReadonlySet<string> = new Set(["/", "/summary", "/metrics", "/healthz", "/readyz"]);

/** Refuses, before anything else is asked, what is not served under such a name. A name without a port is good for every port. */
export function apiHosts(hostnames: readonly string[]): Handler {
  const names = new Set(hostnames.map((name) => name.toLowerCase()));
  if (names.size === 0) return () => false;
  return (exchange) => {
    const { path } = exchange;
    if (PATHS.has(path) || isOfApi(path) || !isAmong(names, exchange)) return false;
    throw new RegistryError(
      404,
      "NAME_UNKNOWN",
      "under this name there are the API and statistics; images have another",
    );
  };
}

function isAmong(names: ReadonlySet<string>, { req }: Exchange): boolean {
  const host = (req.headers.host ?? "").toLowerCase();
  return names.has(host) || names.has(host.replace(/:\d*$/, "").replace(/\.$/, ""));
}
