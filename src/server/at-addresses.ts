import type { Logger } from "pino";
import type { Access } from "../access/access.ts";
import type { Config, ShownCertificate } from "../config/config.ts";
import { Connections } from "./connections.ts";
import { type Handler, requestListener, strangers } from "./handler.ts";
import type { ListenerServer, ListenerSetup, TlsUse } from "./listener-server.ts";
import { Proxies } from "./proxies.ts";
import { tracedHandlers, tracedListener } from "./request-span.ts";
import type { OnRequest } from "./request-facts.ts";
import type { Seen } from "./seen.ts";

export interface SetupsOptions {
  readonly config: Pick<Config, "access" | "listen" | "trustedProxies">;
  /** Who may come in at each address. */
  readonly accesses: readonly Access[];
  readonly handlers: readonly Handler[];
  /** What clients are spoken to with at first, where an address does not want plain HTTP; undefined: that is all there is. */
  readonly certificate: ShownCertificate | undefined;
  readonly log: Logger;
  /** For the one line a request. */
  readonly requestLog: Logger;
  readonly seen: Pick<Seen, "note" | "noteDistrust">;
  readonly onRequest: OnRequest;
}

/** How clients are served at each address; all share their connections, which are counted together. */
export function setupsOf({
  config,
  accesses,
  handlers,
  certificate,
  log,
  requestLog,
  seen,
  onRequest,
}: SetupsOptions): readonly ListenerSetup[] {
  const connections = new Connections();
  const traced = tracedHandlers(handlers);
  const proxies = new Proxies(config.trustedProxies, (address) =>
    log.warn(
      `${address} sends X-Forwarded-Proto and is not in \`trusted_proxies\`: if it is a proxy of yours, name it there; ` +
        "until then all of its clients count as that address, and as speaking plain HTTP",
    ),
  );
  return accesses.map((access, index) => ({
    handle: tracedListener(
      requestListener(traced, connections, requestLog, strangers(proxies, access), { seen, onRequest }),
    ),
    connections,
    tls: config.listen[index]?.tls === true ? certificate : undefined,
    clients: access.asksForCertificates ? config.access.mtls : undefined,
    log,
    onDistrust: (client, alert) => seen.noteDistrust(client, alert),
  }));
}

/** What clients have open here; all addresses share their connections. */
export function openAt([first]: readonly ListenerSetup[]): { requests: number; connections: number } {
  return { requests: first?.connections.requestCount ?? 0, connections: first?.connections.connectionCount ?? 0 };
}

/** What of it is news at an address. */
export function newsAt(access: Access | undefined, { clients, ...news }: TlsUse): TlsUse {
  return { ...news, clients: access?.asksForCertificates === true ? clients : undefined };
}

/** Says how many requests were cut: each of the servers cuts the same ones. */
export async function stopAll(servers: readonly Pick<ListenerServer, "stop">[], withinMs: number): Promise<number> {
  return Math.max(0, ...(await Promise.all(servers.map(async (server) => await server.stop(withinMs)))));
}
