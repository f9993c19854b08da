import { once } from "node:events";
import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { createServer } from "node:net";

const ANSWER_TIMEOUT_MS = 120_000;

/** A TCP port of the loopback address that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Whether that URL answers with a success; a certificate of any kind will do. */
export async function answers(url: string): Promise<boolean> {
  try {
    return (await drain(url)).status === 200;
  } catch {
    return false;
  }
}

export interface Drained {
  readonly status: number;
  readonly bytes: number;
}

/** GETs and throws the body away, on a connection of its own. */
export async function drain(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Drained> {
  const { promise, resolve, reject } = Promise.withResolvers<Drained>();
  const options = { agent: false, headers, timeout: ANSWER_TIMEOUT_MS, rejectUnauthorized: false };
  const request = (url.startsWith("https:") ? tlsRequest : plainRequest)(url, options, (response) => {
    let bytes = 0;
    response.on("data", (piece: Buffer) => {
      bytes += piece.length;
    });
    response.on("end", () => resolve({ status: response.statusCode ?? 0, bytes }));
    response.on("error", reject);
  });
  request.on("timeout", () => request.destroy(new Error(`no answer from ${url}`)));
  request.on("error", reject);
  request.end();
  return await promise;
}
