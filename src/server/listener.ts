import type { AddressInfo, Server } from "node:net";
import type { ListenAddress } from "../config/config.ts";
import { createListenerServer, type ListenerSetup } from "./listener-server.ts";

export interface Listener {
  /** `host:port` as it really is. */
  readonly address: string;
  /** Stops accepting, lets responses finish for at most `withinMs`, then cuts what is left and says how many those were. */
  stop(withinMs: number): Promise<number>;
}

/** Listens on one address. Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function listen(address: ListenAddress, setup: ListenerSetup): Promise<Listener> {
  const made = createListenerServer(setup);
  await begun(made.server, address);
  const { port } = made.server.address() as AddressInfo;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { address: `${host}:${port}`, stop: async (withinMs) => await made.stop(withinMs) };
}

async function begun(server: Server, { host, port }: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
