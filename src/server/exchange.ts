import type { IncomingMessage, ServerResponse } from "node:http";

/** One request and its response; handlers annotate it, the access log reads it. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Ends when the client is gone. */
  readonly signal: AbortSignal;
  /** Its address, taken at once: a socket that is closed no longer knows. */
  readonly client: string | undefined;
  readonly isHead: boolean;
  /** Path and query as sent, split; never logged with the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly notes: Notes;
}

/** What the log line says beyond status and duration. */
export interface Notes {
  /** What was asked of the registry API: `ping`, `manifest`, `tags`, ... */
  endpoint?: string;
  registry?: string;
  repository?: string;
  reference?: string;
  outcome?: string;
  /** Body bytes handed to the socket. */
  bytes: number;
  error?: unknown;
  /** Another process has answered it, and has written its line. */
  isForwarded?: boolean;
}
