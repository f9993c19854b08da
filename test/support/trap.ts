import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo, LookupFunction } from "node:net";
import type { HasAfter } from "./temp.ts";

/** A server of somebody else's, which nobody has a reason to speak to, and what it has heard. */
export interface Trap {
  readonly port: number;
  readonly heard: { readonly method: string; readonly url: string; readonly headers: IncomingHttpHeaders }[];
  /** Connections, also those on which nothing was said. */
  readonly connections: number;
}

/** On every loopback address, of IPv4 and IPv6. It answers with what a token service and a registry would be glad to get. */
export async function startTrap(t: HasAfter): Promise<Trap> {
  const heard: Trap["heard"][number][] = [];
  let connections = 0;
  const server = createServer((req, res) => {
    heard.push({ method: req.method ?? "", url: req.url ?? "", headers: req.headers });
    res.writeHead(200, { "Content-Type": "application/json" }).end('{"token":"of-the-trap"}');
  });
  server.on("connection", () => (connections += 1));
  server.listen(0, "::");
  await once(server, "listening");
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    get connections() {
      return connections;
    },
  };
}

/** All of `.test` is this machine, and nothing else exists; `asked` has the names that somebody wanted to connect to. */
export function recordingLookup(): { readonly lookup: LookupFunction; readonly asked: string[] } {
  const asked: string[] = [];
  const lookup: LookupFunction = (hostname, { all }, callback) => {
    asked.push(hostname);
    if (!hostname.endsWith(".test") && hostname !== "localhost") {
      callback(Object.assign(new Error(`no such host: ${hostname}`), { code: "ENOTFOUND" }), "");
    } else if (all === true) callback(null, [{ address: "127.0.0.1", family: 4 }]);
    else callback(null, "127.0.0.1", 4);
  };
  return { lookup, asked };
}
