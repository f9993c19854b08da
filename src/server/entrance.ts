import { createServer, type Socket } from "node:net";
import type { ListenAddress } from "../config/config.ts";
import type { ClientHello } from "./client-hello.ts";
import { FirstLook } from "./first-look.ts";
import { addressOf, begun } from "./listening.ts";

/** Takes some connections for itself, by what their clients say first. */
export interface Screening {
  /** Whether anybody of that kind is expected now; otherwise connections are not looked at. */
  readonly isOn: boolean;
  /** True where it takes the connection, from which nothing is missing. */
  take(hello: ClientHello, socket: Socket): boolean;
}

/** An address that is listened on for others: its connections are handed out unread. */
export interface Entrance {
  /** `host:port` as it really is. */
  readonly address: string;
  /** Until it is called, connections wait. From those of `takeRead` was read, and given back, what only this process has. */
  onConnection(take: (socket: Socket) => void, takeRead?: (socket: Socket) => void): void;
  /** Lets nobody in any more, and cuts those that are being looked at. */
  close(): void;
}

/** Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function openEntrance(address: ListenAddress, screening?: Screening): Promise<Entrance> {
  let waiting: Socket[] = [];
  const first = new FirstLook();
  let take = (socket: Socket): void => void waiting.push(socket);
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    // Nobody reads or writes here, so that nothing can be lost by what is told of it.
    socket.on("error", () => undefined);
    take(socket);
  });
  await begun(server, address);
  return {
    address: addressOf(server, address),
    onConnection: (handler, takeRead = handler) => {
      take = (socket) => {
        if (screening?.isOn !== true) return handler(socket);
        first.look(socket, (hello) => {
          if (hello === undefined || !screening.take(hello, socket)) takeRead(socket);
        });
      };
      for (const socket of waiting) take(socket);
      waiting = [];
    },
    close: () => {
      server.close();
      first.cut();
    },
  };
}
