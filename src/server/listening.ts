import type { AddressInfo, Server } from "node:net";
import type { ListenAddress } from "../config/config.ts";

/** Connections that wait to be accepted while we are busy; the system has a limit of its own (somaxconn). */
const BACKLOG_MAX = 65_535;

/** `host:port` as it really is. */
export function addressOf(server: Server, { host }: ListenAddress): string {
  const { port } = server.address() as AddressInfo;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Resolves when the server listens; rejects with the system's error. */
export async function begun(server: Server, address: ListenAddress | { readonly path: string }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...address, backlog: BACKLOG_MAX }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
