import { chmod, rm } from "node:fs/promises";
import type { AddressInfo, Server } from "node:net";
import type { ListenAddress } from "../config/config.ts";
import { createListenerServer, type ListenerServer, type ListenerSetup, type TlsUse } from "./listener-server.ts";

export interface Listener {
  /** `host:port` as it really is. */
  readonly address: string;
  useTls(use: TlsUse): void;
  /** Stops accepting, lets responses finish for at most `withinMs`, then cuts what is left and says how many those were. */
  stop(withinMs: number): Promise<number>;
}

/** Listens on one address. Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function listen(address: ListenAddress, setup: ListenerSetup): Promise<Listener> {
  const made = createListenerServer(setup);
  await begun(made.server, address);
  return listenerOf(made, addressOf(made.server, address));
}

/** Listens for processes of the same user on this machine. A socket file that another process has left is replaced. */
export async function listenLocally(path: string, setup: ListenerSetup): Promise<Listener> {
  const made = createListenerServer(setup);
  await rm(path, { force: true });
  await begun(made.server, { path });
  await chmod(path, 0o600);
  return listenerOf(made, path);
}

function listenerOf(made: ListenerServer, address: string): Listener {
  return { address, useTls: (use) => made.useTls(use), stop: async (withinMs) => await made.stop(withinMs) };
}

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
