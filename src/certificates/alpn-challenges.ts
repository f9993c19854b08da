import type { Socket } from "node:net";
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from "node:tls";
import type { Logger } from "pino";
import type { ClientHello } from "../server/client-hello.ts";
import type { Screening } from "../server/entrance.ts";
import type { Challenge, Challenges } from "./challenges.ts";
import { selfSigned } from "./self-signed.ts";

const PROTOCOL = "acme-tls/1";
/** For the handshake, and again for the authority to leave. */
const VISIT_MS = 10_000;
/** An authority looks from a few places; whoever else pretends to be one gets a certificate of no use. */
const VISITORS_MAX = 1_000;

interface Shown {
  readonly token: string;
  readonly context: SecureContext;
}

/**
 * Answers tls-alpn-01 challenges (RFC 8737) on the connections where clients come in. Nobody but an authority asks for this
 * protocol alone, so that no client is ever shown a challenge's certificate.
 */
export class AlpnChallenges implements Challenges, Screening {
  readonly kind = "tls-alpn-01";
  readonly how = "by TLS";
  readonly screening = this;
  readonly #log: Pick<Logger, "debug">;
  readonly #shown = new Map<string, Shown>();
  readonly #visitors = new Set<Socket>();
  readonly #server: Server;

  constructor(log: Pick<Logger, "debug">) {
    this.#log = log;
    this.#server = createServer({
      minVersion: "TLSv1.2",
      ALPNProtocols: [PROTOCOL],
      handshakeTimeout: VISIT_MS,
      SNICallback: (name, done) => done(null, this.#shown.get(name.toLowerCase())?.context),
    });
    // The certificate is all that was to be seen.
    this.#server.on("secureConnection", (socket: TLSSocket) => {
      socket.on("error", () => socket.destroy());
      socket.setTimeout(VISIT_MS, () => socket.destroy());
      socket.resume().end();
    });
    this.#server.on("tlsClientError", (err, socket) => {
      this.#log.debug({ client: socket.remoteAddress, err }, "no TLS with an authority");
      socket.destroy();
    });
  }

  get isOn(): boolean {
    return this.#shown.size > 0;
  }

  take({ serverName = "", protocols }: ClientHello, socket: Socket): boolean {
    if (protocols.length !== 1 || protocols[0] !== PROTOCOL || !this.#shown.has(serverName)) return false;
    if (this.#visitors.size >= VISITORS_MAX) {
      socket.destroy();
      return true;
    }
    this.#visitors.add(socket);
    socket.once("close", () => this.#visitors.delete(socket));
    this.#server.emit("connection", socket);
    return true;
  }

  /** Nothing is listened on: connections come from where clients do. */
  async open(): Promise<void> {}

  async show({ name, token, answer }: Challenge): Promise<void> {
    const context = createSecureContext(await selfSigned(name, answer));
    this.#shown.set(name, { token, context });
  }

  /** Another order for the same name may have its own by now. */
  withdraw({ name, token }: Pick<Challenge, "name" | "token">): void {
    if (this.#shown.get(name)?.token === token) this.#shown.delete(name);
  }

  async close(): Promise<void> {
    this.#shown.clear();
    for (const socket of this.#visitors) socket.destroy();
  }
}
