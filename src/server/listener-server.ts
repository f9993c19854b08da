import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, type SecureContextOptions, TLSSocket } from "node:tls";
import type { Logger } from "pino";
import type { ClientAuthorities, ShownCertificate } from "../config/config.ts";
import { pemBlocks } from "../lib/pem.ts";
import { badRequestAnswerer, plainHttpAnswer } from "./bad-request.ts";
import { forgetFailedCheck, misjudgedNames } from "./client-certificate.ts";
import type { Connections } from "./connections.ts";
import { Handshakes } from "./handshakes.ts";

/** What a connection may cost before a request is known. */
export interface ListenerLimits {
  /** Request line and all headers. */
  readonly headerBytesMax: number;
  /** From the connection until TLS is agreed on; headers have their own time after that. */
  readonly handshakeTimeoutMs: number;
  /** For the headers of a request to arrive, against clients that send them slowly. */
  readonly headersTimeoutMs: number;
  /** For a whole request to arrive. */
  readonly requestTimeoutMs: number;
  /** How often the two above are looked at. */
  readonly timeoutCheckMs: number;
  /** A connection without a request. */
  readonly keepAliveMs: number;
  /**
   * A connection on which nothing moves: a client that takes no byte for so long is gone. Node sees it after up to twice
   * the time, since it once takes a write that is half done for one that moves.
   */
  readonly socketIdleMs: number;
  /** How long a connection stays open after an answer to broken HTTP, so that the client can read it. */
  readonly lingerMs: number;
}

export const LISTENER_LIMITS: ListenerLimits = {
  headerBytesMax: 16 * 1024,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 30_000,
  timeoutCheckMs: 5_000,
  // Longer than the 60 s of common load balancers.
  keepAliveMs: 75_000,
  socketIdleMs: 5 * 60_000,
  lingerMs: 1_000,
};

const TLS_VERSION_MIN = "TLSv1.2";

/** What TLS is spoken with. */
export interface TlsUse {
  readonly certificate: ShownCertificate;
  readonly clients?: ClientAuthorities | undefined;
  readonly ticketKeys?: Buffer | undefined;
}

export interface ListenerSetup {
  readonly handle: RequestListener;
  readonly connections: Connections;
  /** Undefined for plain HTTP. Whether there are certificates of single names does not change later, only which. */
  readonly tls: ShownCertificate | undefined;
  readonly log: Logger;
  /** Whose certificates clients may show; what that means for them is asked elsewhere. */
  readonly clients?: ClientAuthorities | undefined;
  /** For sessions that several processes shall be able to resume; each has its own otherwise. */
  readonly ticketKeys?: Buffer | undefined;
  readonly limits?: ListenerLimits;
  /** Hears of those who broke TLS off since they do not trust the certificate, and of what they called it. */
  readonly onDistrust?: ((client: string, alert: string) => void) | undefined;
}

/** Speaks HTTP, with TLS or without, on the connections that it is given. */
export interface ListenerServer {
  /** To listen with. */
  readonly server: Server | TlsServer;
  /** Takes over a connection that was accepted elsewhere. */
  accept(socket: Socket): void;
  /**
   * Another certificate, or other authorities, for whoever comes from now on; connections that are there stay, but no session of
   * theirs is resumed. No effect without TLS.
   */
  useTls(tls: TlsUse): void;
  /** Stops listening, lets responses finish for at most `withinMs`, then cuts what is left and says how many those were. */
  stop(withinMs: number): Promise<number>;
}

export function createListenerServer(setup: ListenerSetup): ListenerServer {
  const { connections, limits = LISTENER_LIMITS } = setup;
  const handshakes = new Handshakes();
  const names = new NamedContexts();
  let { clients } = setup;
  const server =
    setup.tls === undefined ? plainServer(setup, limits) : tlsServer(setup, setup.tls, { handshakes, names, limits });
  // Node drops what is above its limit silently; ours is checked, and the bytes are bounded anyway.
  server.maxHeadersCount = 0;
  server.setTimeout(limits.socketIdleMs);
  // A push that waits for leave gets its answer at once instead of "100 Continue" and the body.
  server.on("checkContinue", setup.handle);
  server.on("checkExpectation", setup.handle);
  let hasAccepted = false;
  return {
    server,
    accept: (socket) => {
      // Node begins to look at the time that headers take when a server listens, which this one may never do.
      if (!hasAccepted && !server.listening) server.emit("listening");
      hasAccepted = true;
      server.emit("connection", socket.setNoDelay(true));
      // It may have been accepted without being read. TLS reads by itself, what was read before and given back as well.
      if (setup.tls === undefined) socket.resume();
    },
    useTls: (use) => {
      if (!("setSecureContext" in server)) return;
      server.setSecureContext(contextOptions(use));
      names.use(use);
      // A certificate that was revoked meanwhile let somebody in.
      if (use.clients?.ca !== clients?.ca || use.clients?.crl !== clients?.crl) {
        connections.endAll();
        // What is being agreed on is judged by what was before.
        handshakes.cut();
      }
      clients = use.clients;
    },
    stop: async (withinMs) => await stopped(server, connections, handshakes, withinMs),
  };
}

function httpOptions(limits: ListenerLimits): ServerOptions {
  return {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: limits.timeoutCheckMs,
    keepAliveTimeout: limits.keepAliveMs,
    insecureHTTPParser: false,
    noDelay: true,
    // Checked by our own handler, which answers in the specification's form.
    requireHostHeader: false,
  };
}

function plainServer({ handle, connections }: ListenerSetup, limits: ListenerLimits): Server {
  const server = createServer(httpOptions(limits), handle);
  server.on("connection", (socket: Socket) => connections.add(socket));
  server.on("clientError", badRequestAnswerer(connections, limits));
  return server;
}

function contextOptions({ certificate: { cert, key }, clients, ticketKeys }: TlsUse): SecureContextOptions {
  return {
    cert,
    key,
    minVersion: TLS_VERSION_MIN,
    ...(clients === undefined ? {} : { ca: clients.ca }),
    // Of several lists in one text Node.js takes the first alone.
    ...(clients?.crl === undefined ? {} : { crl: pemBlocks(clients.crl, "X509 CRL") }),
    ...(ticketKeys === undefined ? {} : { ticketKeys }),
  };
}

/** TLS for whoever asks for a name that has a certificate of its own; what sessions are resumed by is the server's own. */
class NamedContexts {
  readonly #made = new Map<string, SecureContext>();
  #use: TlsUse | undefined;

  use(tls: TlsUse): void {
    this.#use = tls;
    this.#made.clear();
  }

  /** Undefined: the server's own is for it. Made when it is first asked for: there may be many names, and few that change. */
  of(name: string): SecureContext | undefined {
    const known = this.#made.get(name);
    const certificate = this.#use?.certificate.named?.find((one) => one.name === name);
    if (known !== undefined || this.#use === undefined || certificate === undefined) return known;
    const made = createSecureContext(contextOptions({ clients: this.#use.clients, certificate }));
    this.#made.set(name, made);
    return made;
  }
}

interface TlsParts {
  readonly handshakes: Handshakes;
  readonly names: NamedContexts;
  readonly limits: ListenerLimits;
}

/** Requests come on the sockets with TLS; until there is one, the raw socket is all that can be cut. */
function tlsServer(
  { handle, connections, log, clients, ticketKeys, onDistrust }: ListenerSetup,
  certificate: ShownCertificate,
  { handshakes, names, limits }: TlsParts,
): TlsServer {
  names.use({ certificate, clients });
  const server = createTlsServer(
    {
      ...httpOptions(limits),
      ...contextOptions({ certificate, clients, ticketKeys }),
      // Who has none may have another way in.
      requestCert: clients !== undefined,
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: limits.handshakeTimeoutMs,
      ...(certificate.named === undefined ? {} : { SNICallback: sniCallback(names) }),
    },
    handle,
  );
  server.on("connection", (raw: Socket) => handshakes.begin(raw));
  server.on("secureConnection", (socket: TLSSocket) => {
    forgetFailedCheck(socket);
    handshakes.succeed(socket);
    connections.add(socket);
  });
  const answer = badRequestAnswerer(connections, limits);
  // Node reports failed handshakes here as well.
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!(socket instanceof TLSSocket)) return answer(error, socket);
    tellFailure(log, error, socket, handshakes.hasSucceeded(socket));
    if (handshakes.hasSucceeded(socket)) return answer(error, socket);
    const client = addressOf(socket);
    const alert = distrustOf(error);
    if (alert !== undefined && client !== undefined) onDistrust?.(client, alert);
    const raw = handshakes.fail(socket);
    if (error.code === "ERR_SSL_HTTP_REQUEST" && raw?.writable === true) {
      // Whether the client has gone by now is of no interest to anybody.
      raw.once("error", () => undefined).end(plainHttpAnswer());
    }
    socket.destroy();
  });
  return server;
}

/** A socket that is closed no longer knows; the raw one below it was asked when it came, and does. Node.js has no public name for that. */
function addressOf(socket: TLSSocket & { readonly _parent?: Socket }): string | undefined {
  return socket.remoteAddress ?? socket._parent?.remoteAddress;
}

/** What clients say before they hang up (RFC 8446, section 6.2): Go says the first, OpenSSL the second. */
function distrustOf({ code }: NodeJS.ErrnoException): string | undefined {
  return /_ALERT_(BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED)$/.exec(code ?? "")?.[1];
}

/** What fails after TLS was agreed on is mostly HTTP, which its answer says. */
function tellFailure(log: Logger, error: NodeJS.ErrnoException, socket: TLSSocket, hadTls: boolean): void {
  const client = socket.remoteAddress;
  if (hadTls) {
    if (error.code?.startsWith("ERR_SSL_") === true) log.debug({ client, err: error }, "TLS with a client broke off");
    return;
  }
  const names = misjudgedNames(error, socket);
  if (names === undefined) return log.debug({ client, err: error }, "no TLS with a client");
  const message = "no TLS with a client: most likely another authority of the same name has signed its certificate";
  log.info({ client, names: names.slice(0, 1), reason: error.code }, message);
}

function sniCallback(names: NamedContexts) {
  return (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
    try {
      done(null, names.of(name.toLowerCase()));
    } catch (error) {
      done(error as Error);
    }
  };
}

/** For what a request that was cut has yet to tidy up. */
const LAST_WORDS_MS = 1_000;

async function stopped(
  server: Server | TlsServer,
  connections: Connections,
  handshakes: Handshakes,
  withinMs: number,
): Promise<number> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  let cut = 0;
  handshakes.cut();
  connections.drain();
  const timer = setTimeout(() => (cut = connections.closeAll()), withinMs);
  // The server counts those that it has accepted itself.
  await Promise.all([closed, connections.allClosed()]);
  clearTimeout(timer);
  await connections.quiet(AbortSignal.timeout(LAST_WORDS_MS)).catch(() => undefined);
  return cut;
}
