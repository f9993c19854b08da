import { createServer, type Socket } from "node:net";
import type { ListenAddress } from "../config/config.ts";
import { addressOf, begun } from "./listener.ts";

/** An address that is listened on for others: its connections are handed out unread. */
export interface Entrance {
  /** `host:port` as it really is. */
  readonly address: string;
  /** Until it is called, connections wait. */
  onConnection(take: (socket: Socket) => void): void;
  /** Lets nobody in any more. */
  close(): void;
}

/** Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function openEntrance(address: ListenAddress): Promise<Entrance> {
  let waiting: Socket[] = [];
  let take = (socket: Socket): void => void waiting.push(socket);
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    // Nobody reads or writes here, so that nothing can be lost by what is told of it.
    socket.on("error", () => undefined);
    take(socket);
  });
  await begun(server, address);
  return {
    address: addressOf(server, address),
    onConnection: (handler) => {
      take = handler;
      for (const socket of waiting) take(socket);
      waiting = [];
    },
    close: () => void server.close(),
  };
}
