import { createServer, type Server } from "node:http";
import type { ListenAddress } from "../config/config.ts";
import type { Challenge, Challenges } from "./challenges.ts";

const PREFIX = "/.well-known/acme-challenge/";
/** Nobody has anything to send here but a line and a few headers. */
const HEADER_BYTES_MAX = 8 * 1024;
const REQUEST_MS = 10_000;
const CONNECTIONS_MAX = 1_000;
/** What `https://` means where no port is said. */
const HTTPS_PORT = 443;

/** Answers http-01 challenges (RFC 8555, section 8.3) on plain HTTP, and sends everybody else to https. */
export class HttpChallenges implements Challenges {
  readonly kind = "http-01";
  readonly how = "on plain HTTP";
  readonly screening = undefined;
  readonly #address: ListenAddress;
  readonly #answers = new Map<string, string>();
  readonly #server: Server;

  /** `httpsPort` is where everybody else is sent. */
  constructor(address: ListenAddress, httpsPort: number = HTTPS_PORT) {
    this.#address = address;
    const options = { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS };
    const port = httpsPort === HTTPS_PORT ? "" : `:${httpsPort}`;
    this.#server = createServer(options, ({ url = "/", headers }, res) => {
      const answer = url.startsWith(PREFIX) ? this.#answers.get(url.slice(PREFIX.length)) : undefined;
      res.setHeader("Connection", "close");
      if (answer !== undefined) {
        res.writeHead(200, { "Content-Type": "application/octet-stream" }).end(answer);
        return;
      }
      const host = /^[A-Za-z0-9.-]+/.exec(headers.host ?? "")?.[0];
      if (url.startsWith(PREFIX) || host === undefined) res.writeHead(404).end();
      else res.writeHead(308, { Location: `https://${host}${port}${url}` }).end();
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  async open(): Promise<void> {
    const { host, port } = this.#address;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  async show({ token, answer }: Challenge): Promise<void> {
    this.#answers.set(token, answer);
  }

  withdraw({ token }: Pick<Challenge, "token">): void {
    this.#answers.delete(token);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
