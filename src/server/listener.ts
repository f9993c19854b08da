import { chmod, rm } from "node:fs/promises";
import type { ListenAddress } from "../config/config.ts";
import { openEntrance, type Screening } from "./entrance.ts";
import { createListenerServer, type ListenerServer, type ListenerSetup, type TlsUse } from "./listener-server.ts";
import { addressOf, begun } from "./listening.ts";

export interface Listener {
  /** `host:port` as it really is. */
  readonly address: string;
  useTls(use: TlsUse): void;
  /** Stops accepting, lets responses finish for at most `withinMs`, then cuts what is left and says how many those were. */
  stop(withinMs: number): Promise<number>;
}

/** Listens on one address. Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function listen(address: ListenAddress, setup: ListenerSetup, screening?: Screening): Promise<Listener> {
  const made = createListenerServer(setup);
  if (screening !== undefined) return await listenBehind(screening, address, made);
  await begun(made.server, address);
  return listenerOf(made, addressOf(made.server, address));
}

/** Connections are looked at before they are the server's. */
async function listenBehind(screening: Screening, address: ListenAddress, made: ListenerServer): Promise<Listener> {
  const entrance = await openEntrance(address, screening);
  entrance.onConnection((socket) => made.accept(socket));
  return {
    ...listenerOf(made, entrance.address),
    stop: async (withinMs) => {
      entrance.close();
      return await made.stop(withinMs);
    },
  };
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
