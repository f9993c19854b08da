import type { RequestListener } from "node:http";
import { context, trace } from "@opentelemetry/api";
import { contextOf, inSpan, isTraced, type Span, SpanKind, SpanStatusCode, traceHeaders } from "../lib/tracing.ts";
import type { Exchange } from "./exchange.ts";
import type { Handler } from "./handler.ts";

/** Has each request in a span of its own, in the trace that the client says that it is in. Without an SDK it is what it was. */
export function tracedListener(listener: RequestListener): RequestListener {
  if (!isTraced()) return listener;
  return (req, res) => {
    if (WATCHED.test(req.url ?? "")) return listener(req, res);
    const closed = new Promise<void>((resolve) => res.once("close", resolve));
    const attributes = { "http.request.method": req.method ?? "" };
    context.with(contextOf(req.headers), () =>
      inSpan(
        { name: req.method ?? "request", kind: SpanKind.SERVER, attributes },
        () => listener(req, res),
        async () => await closed,
      ),
    );
  };
}

/** Asked every few seconds by whatever watches over us. */
const WATCHED = /^\/(?:healthz|readyz|metrics)(?:\?|$)/;

/** Before all others: notes which trace the request is in, and lets its span say in the end what has become of it. */
export function tracedHandlers(handlers: readonly Handler[]): readonly Handler[] {
  return isTraced() ? [noted, ...handlers] : handlers;
}

const noted: Handler = (exchange) => {
  const span = trace.getActiveSpan();
  if (span?.isRecording() !== true) return false;
  exchange.notes.traceId = span.spanContext().traceId;
  // Before the span ends, which is told of the same.
  exchange.res.prependOnceListener("close", () => describe(span, exchange));
  return false;
};

function describe(span: Span, { notes, res, req, client }: Exchange): void {
  const { endpoint, registry, repository, reference, outcome, bytes, isForwarded } = notes;
  span.updateName(`${req.method} ${endpoint ?? (isForwarded === true ? "forwarded" : "other")}`);
  const known = { endpoint, registry, repository, reference, outcome, bytes };
  for (const [name, value] of Object.entries(known)) {
    if (value !== undefined) span.setAttribute(`registry_cache.${name}`, value);
  }
  if (client !== undefined) span.setAttribute("client.address", client);
  if (!res.headersSent) return;
  span.setAttribute("http.response.status_code", res.statusCode);
  if (res.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
}

/** What is handed on to another process of ours: in our span, and not in the client's. */
export function tracedHeaders(headers: readonly string[]): readonly string[] {
  if (!isTraced()) return headers;
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = "", value = ""] = [headers[at], headers[at + 1]];
    if (!TRACE_HEADERS.has(name.toLowerCase())) kept.push(name, value);
  }
  return [...kept, ...Object.entries(traceHeaders()).flat()];
}

const TRACE_HEADERS: ReadonlySet<string> = new Set(["traceparent", "tracestate"]);
