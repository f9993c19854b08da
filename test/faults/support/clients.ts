import { once } from "node:events";
import { type Socket, connect } from "node:net";

/** A client on a bare socket, which can do what no HTTP library would. */
export async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  // That the cache cuts it is for the test to see by "close".
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Sends a GET and reads nothing. */
export async function askUnread(url: string, headers: Record<string, string> = {}): Promise<Socket> {
  const socket = await dial(url);
  socket.pause();
  const { host, pathname } = new URL(url);
  const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET ${pathname} HTTP/1.1\r\n${lines.join("")}\r\n`);
  return socket;
}

/** Waits until at least one byte of the answer is there, and takes what is. */
export async function begun(socket: Socket): Promise<void> {
  if (socket.read() === null) await once(socket, "readable");
}

/** Closes as a program does that crashed: unread bytes make it a reset. */
export async function leave(socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
}

/** Does `work` for `count` numbers, so many at once. */
export async function crowd(count: number, atOnce: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, one));
}
