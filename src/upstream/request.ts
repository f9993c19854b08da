import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Dispatcher } from "undici";
import type { UpstreamTimeouts } from "../config/config.ts";
import { orAborted } from "./aborts.ts";
import { faultOf, isStaleConnection } from "./faults.ts";
import { UpstreamError } from "./upstream.ts";

/** What undici buffers of a body that the reader is behind with, bytes. */
export const BODY_BUFFER_BYTES = 256 * 1024;

export interface HttpRequest {
  readonly method: "GET" | "HEAD";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly method: "GET" | "HEAD";
  /** What was asked; may carry a signature in its query, so only origin and path belong into messages. */
  readonly url: URL;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Must be read, discarded or destroyed. */
  readonly body: Readable;
  /** Hears of the bytes of the body as they come. */
  readonly received?: (bytes: number) => void;
}

/** One HTTP exchange. Rejects with an `UpstreamError` only. */
export type Send = (request: HttpRequest, signal: AbortSignal) => Promise<HttpAnswer>;

export interface SendOptions {
  readonly dispatcher: Dispatcher;
  readonly timeouts: UpstreamTimeouts;
  readonly userAgent: string;
  /** Judges the URL's host as far as its name shows; the last word, whatever led to this URL. */
  readonly mayDial: (url: URL) => boolean;
}

export function createSend({ dispatcher, timeouts, userAgent, mayDial }: SendOptions): Send {
  const once = async ({ method, url, headers }: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> => {
    const answer = dispatcher.request({
      method,
      origin: url.origin,
      path: url.pathname + url.search,
      // We store and verify bytes as they are, so nobody may encode them on the way.
      headers: { "user-agent": userAgent, "accept-encoding": "identity", ...headers },
      signal,
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.idleMs,
      // undici would close the connection after each HEAD, and HEAD is what every tag is asked by.
      reset: false,
      highWaterMark: BODY_BUFFER_BYTES,
    });
    // undici notices an abort only once a connection stands; a caller must not wait for the connect timeout.
    const { statusCode, headers: received, body } = await orAborted(answer, signal);
    if (method === "HEAD") {
      // undici frees a connection one turn after the end of the body. The GET that often follows a HEAD is worth waiting
      // for that, or it would open another connection.
      await orAborted(body.dump(), signal);
      await nextTurn();
    }
    return { method, url, status: statusCode, headers: received, body };
  };
  return async (request, signal) => {
    if (!mayDial(request.url)) throw new UpstreamError("untrusted", `${request.url.host} is a private address`);
    try {
      return await once(request, signal).catch((error: unknown) => {
        if (signal.aborted || !isStaleConnection(error)) throw error;
        return once(request, signal);
      });
    } catch (error) {
      throw faultOf(error, request.url.host, signal);
    }
  };
}
