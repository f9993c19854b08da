import type { IncomingMessage, ServerResponse } from "node:http";
import { type Access, type Identity, NOBODY } from "../access/access.ts";
import type { Digest } from "../oci/digest.ts";
import type { OpenRequest } from "./connections.ts";
import type { Target } from "./target.ts";

export interface ExchangeParts extends Pick<
  Exchange,
  "access" | "req" | "res" | "client" | "isSecure" | "certificateNames" | "certificateFault"
> {
  readonly request: Pick<OpenRequest, "signal">;
}

/** One request and its response; handlers annotate it, the access log reads it. */
export class Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Who may come in where this one came in. */
  readonly access: Access;
  /** The client's address, taken at once: a socket that is closed no longer knows. */
  readonly client: string | undefined;
  /** Whether the client speaks TLS, with us or with a proxy that is trusted. */
  readonly isSecure: boolean;
  /** Of the client's certificate, where it has a valid one. */
  readonly certificateNames: readonly string[];
  /** What is wrong with the certificate that the client shows, for the log. */
  readonly certificateFault: string | undefined;
  readonly isHead: boolean;
  /** Path and query as sent, split; never logged with the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Of a secret path, which `path` is without. */
  readonly secret: string | undefined;
  /** Who is asking; set before anything is answered that not everybody may have. */
  identity: Identity = NOBODY;
  /** What every answer says from here on, errors too. */
  readonly headers: Record<string, string> = {};
  readonly notes: Notes = { bytes: 0 };
  /** When the head of the answer was written, by `performance.now()`. */
  headAtMs: number | undefined;
  /** The manifest that is the answer. */
  manifest: Digest | undefined;
  readonly #request: Pick<OpenRequest, "signal">;

  constructor(
    { access, req, res, client, isSecure, certificateNames, certificateFault, request }: ExchangeParts,
    { path, query, secret }: Target,
  ) {
    this.access = access;
    this.req = req;
    this.res = res;
    this.client = client;
    this.isSecure = isSecure;
    this.certificateNames = certificateNames;
    this.certificateFault = certificateFault;
    this.isHead = req.method === "HEAD";
    this.path = path;
    this.query = query;
    this.secret = secret;
    this.#request = request;
  }

  /** Ends when the client is gone. */
  get signal(): AbortSignal {
    return this.#request.signal;
  }
}

/** What the log line says beyond status and duration. */
export interface Notes {
  /** What was asked of the registry API: `ping`, `manifest`, `tags`, ... */
  endpoint?: string;
  registry?: string;
  /** Who pulls, where that is known. */
  principal?: string;
  repository?: string;
  reference?: string;
  outcome?: string;
  /** Body bytes handed to the socket. */
  bytes: number;
  error?: unknown;
  /** Of the trace that is being recorded of it, where one is. */
  traceId?: string;
  /** Another process has answered it, and has written its line. */
  isForwarded?: boolean;
}
