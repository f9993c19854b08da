import { once } from "node:events";
import { connect, createServer } from "node:net";

export interface Relay {
  readonly port: number;
  stop(): Promise<void>;
}

/** A way to a port of this machine's loopback for containers that only reach the address of their own bridge. */
export async function relay(address: string, toPort: number, port = 0): Promise<Relay> {
  const server = createServer((socket) => {
    const upstream = connect(toPort, "127.0.0.1");
    const end = (): void => {
      socket.destroy();
      upstream.destroy();
    };
    for (const one of [socket, upstream]) one.on("error", end).on("close", end);
    socket.pipe(upstream).pipe(socket);
  });
  server.listen(port, address);
  await once(server, "listening");
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("no port");
  const stop = async (): Promise<void> => {
    server.close();
    await once(server, "close");
  };
  return { port: at.port, stop };
}
