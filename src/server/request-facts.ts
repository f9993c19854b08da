import type { Exchange } from "./exchange.ts";

/** One request that is over, as counters see it. */
export interface RequestFacts {
  /** When it had come in, milliseconds since the epoch. */
  readonly atMs: number;
  readonly method: string;
  /** `manifest`, `blob`, ...; undefined where nothing of the registry API was understood. */
  readonly endpoint: string | undefined;
  /** By id. */
  readonly registry: string | undefined;
  /** Without the registry. */
  readonly repository: string | undefined;
  /** The tag or digest. */
  readonly reference: string | undefined;
  /** What `Cache-Status` says: `hit`, `miss`, `stale-timeout`, ... */
  readonly outcome: string | undefined;
  /** Undefined where the client left before it was answered. */
  readonly status: number | undefined;
  /** Body bytes handed to the socket. */
  readonly bytes: number;
  /** Whether the response has gone out to its end. */
  readonly isWhole: boolean;
  /** Until the head of the answer was written, milliseconds; undefined where none was. */
  readonly firstByteMs: number | undefined;
  /** Of the whole request, milliseconds. */
  readonly durationMs: number;
  /** Whose name or credentials came with it; undefined: nobody's. */
  readonly principal: string | undefined;
  /** Its address. */
  readonly client: string | undefined;
}

/** Hears of each request that is over, once in all processes together. */
export type OnRequest = (facts: RequestFacts, exchange: Exchange) => void;

/** What is known of it when it is over. */
export function factsOf(
  { req, res, notes, identity, client, headAtMs }: Exchange,
  { atMs, beganMs, isWhole }: { readonly atMs: number; readonly beganMs: number; readonly isWhole: boolean },
): RequestFacts {
  return {
    atMs,
    method: req.method ?? "",
    endpoint: notes.endpoint,
    registry: notes.registry,
    repository: notes.repository,
    reference: notes.reference,
    outcome: notes.outcome,
    status: res.headersSent ? res.statusCode : undefined,
    bytes: notes.bytes,
    isWhole,
    firstByteMs: headAtMs === undefined ? undefined : headAtMs - beganMs,
    durationMs: performance.now() - beganMs,
    // Whose credentials are an upstream's affair is nobody here.
    principal: identity.offer === undefined ? notes.principal : undefined,
    client,
  };
}
