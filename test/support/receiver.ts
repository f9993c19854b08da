import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { HasAfter } from "./temp.ts";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly event: { readonly id: string; readonly type: string; readonly subject?: string; readonly data: unknown };
}

/** What webhooks are sent to. */
export interface Receiver {
  readonly url: string;
  /** In the order in which they came, those that were refused too. */
  readonly received: readonly Received[];
  readonly types: readonly string[];
}

/** Answers the request, the `count`th, which was read whole. */
export type Answering = (res: ServerResponse, count: number) => void;

const ACCEPTED: Answering = (res) => res.writeHead(204).end();

export async function startReceiver(t: HasAfter, answer: Answering = ACCEPTED): Promise<Receiver> {
  const received: Received[] = [];
  const server: Server = createServer((req, res) => {
    const pieces: Buffer[] = [];
    req.on("data", (piece: Buffer) => pieces.push(piece));
    req.on("end", () => {
      const body = Buffer.concat(pieces).toString();
      received.push({ path: req.url ?? "", headers: req.headers, body, event: JSON.parse(body) as Received["event"] });
      answer(res, received.length);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    get types() {
      return received.map(({ event }) => event.type);
    },
  };
}
