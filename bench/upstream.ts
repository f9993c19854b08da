import { once } from "node:events";
import { createServer, Agent, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Pace } from "./lib/pace.ts";

/** The internet as the cold rows have it, for all connections together. */
const BYTES_PER_SECOND = 50_000_000;
const FIRST_BYTE_DELAY_MS = 40;
/** Some requests sent while nothing else goes on come through without a wait. */
const BURST_MS = 20;
const QUIET_MS = 300;
const QUIET_WAIT_MAX_MS = 300_000;

/** What went through since the last `reset`. */
export interface Traffic {
  readonly bytes: number;
  readonly requests: number;
  /** GETs by path. */
  readonly downloads: ReadonlyMap<string, number>;
}

/**
 * Stands between caches and the origin, as slow as a line to the internet, and counts what crosses it. Throttling can be
 * switched off, to fill caches quickly.
 */
export class Upstream {
  readonly #server = createServer((incoming, response) => void this.#pass(incoming, response));
  readonly #agent = new Agent({ keepAlive: true });
  readonly #origin: URL;
  #pace = new Pace(BYTES_PER_SECOND, BURST_MS);
  #open = 0;
  #bytes = 0;
  #requests = 0;
  #downloads = new Map<string, number>();
  throttled = true;

  private constructor(origin: string) {
    this.#origin = new URL(origin);
  }

  static async start(origin: string): Promise<Upstream> {
    const upstream = new Upstream(origin);
    upstream.#server.listen(0, "127.0.0.1", 4096);
    await once(upstream.#server, "listening");
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  reset(): void {
    this.#pace = new Pace(BYTES_PER_SECOND, BURST_MS);
    [this.#bytes, this.#requests, this.#downloads] = [0, 0, new Map()];
  }

  traffic(): Traffic {
    return { bytes: this.#bytes, requests: this.#requests, downloads: this.#downloads };
  }

  /** Resolves when nothing has been transferred for a moment: some caches go on after their client has all. */
  async quiet(): Promise<void> {
    const deadline = performance.now() + QUIET_WAIT_MAX_MS;
    for (let before = -1; before !== this.#bytes || this.#open > 0;) {
      if (performance.now() > deadline) throw new Error("the upstream is asked for ever");
      before = this.#bytes;
      await delay(QUIET_MS);
    }
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#count(incoming);
    this.#open += 1;
    try {
      if (this.throttled) await delay(FIRST_BYTE_DELAY_MS);
      const answer = await this.#ask(incoming);
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      response.flushHeaders();
      await this.#send(answer, response);
    } catch {
      // Either side left: the other one is told in the same way.
      response.destroy();
    } finally {
      this.#open -= 1;
    }
  }

  #count({ method, url = "" }: IncomingMessage): void {
    this.#requests += 1;
    if (method === "GET") this.#downloads.set(url, (this.#downloads.get(url) ?? 0) + 1);
  }

  async #ask({ method, url, headers }: IncomingMessage): Promise<IncomingMessage> {
    const { host: _ours, ...others } = headers;
    const { hostname, port } = this.#origin;
    const asked = request({ agent: this.#agent, hostname, port, path: url, method, headers: others });
    asked.end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    return answer;
  }

  async #send(answer: IncomingMessage, response: ServerResponse): Promise<void> {
    response.once("close", () => answer.destroy());
    for await (const piece of answer as AsyncIterable<Buffer>) {
      if (this.throttled) await this.#pace.take(piece.length);
      this.#bytes += piece.length;
      if (!response.write(piece)) await drained(response);
    }
    response.end();
  }
}

/** Waits with one pair of listeners, which go again: a large blob fills the buffer thousands of times. */
async function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) throw new Error("the client left");
  const { promise, resolve } = Promise.withResolvers<void>();
  const go = (): void => resolve();
  response.once("drain", go).once("close", go);
  await promise;
  response.off("drain", go).off("close", go);
}
