import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";

/** Of all spans that are ours. */
const SCOPE = "registry-cache";

/** Whether somebody has brought an SDK, such as by `NODE_OPTIONS=--import`: without one nothing is wrapped, so that nothing is paid. */
export function isTraced(): boolean {
  const provider = trace.getTracerProvider();
  return !(
    provider instanceof ProxyTracerProvider && provider.getDelegate() === new ProxyTracerProvider().getDelegate()
  );
}

export interface SpanOf {
  /** Of few values: what it is about belongs into the attributes. */
  readonly name: string;
  readonly attributes?: Attributes;
  readonly kind?: SpanKind;
}

/** Does the work in a span, which ends with `until` of its result, or with the result. */
export function inSpan<T>(
  { name, ...options }: SpanOf,
  work: (span: Span) => T,
  until: (result: Awaited<T>) => unknown = () => undefined,
): T {
  return trace.getTracer(SCOPE).startActiveSpan(name, options, (span) => {
    try {
      const result = work(span);
      void ended(span, result, until as (result: unknown) => unknown);
      return result;
    } catch (error) {
      fail(span, error);
      throw error;
    }
  });
}

async function ended(span: Span, result: unknown, until: (result: unknown) => unknown): Promise<void> {
  try {
    await until(await result);
    span.end();
  } catch (error) {
    fail(span, error);
  }
}

/** By its kind alone: messages may name what is nobody else's affair. */
function fail(span: Span, error: unknown): void {
  span.setAttribute("error.type", kindOf(error));
  span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "kind" in error && typeof error.kind === "string" ? error.kind : error.name;
}

type Method = (...args: never[]) => unknown;
type MethodOf<T, Key extends keyof T> = T[Key] extends Method ? T[Key] : never;

/** From now on each call of the object's method is in a span of its own. */
export function traceCalls<T extends object, Key extends keyof T>(
  target: T,
  method: Key,
  describe: (...args: Parameters<MethodOf<T, Key>>) => SpanOf,
  until?: (result: Awaited<ReturnType<MethodOf<T, Key>>>) => unknown,
): void {
  const call = (target[method] as Method).bind(target) as (...args: unknown[]) => unknown;
  const traced = (...args: Parameters<MethodOf<T, Key>>) =>
    inSpan(describe(...args), () => call(...args), until as ((result: unknown) => unknown) | undefined);
  target[method] = traced as T[Key];
}

/** What a caller says of the trace that it is in (W3C `traceparent`), where this process is not in one already. */
export function contextOf(headers: Readonly<Record<string, string | string[] | undefined>>): Context {
  const active = context.active();
  return trace.getSpan(active) === undefined ? propagation.extract(ROOT_CONTEXT, headers) : active;
}

/** Headers that tell another process of ours which trace it is in. */
export function traceHeaders(): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  propagation.inject(context.active(), headers);
  return headers;
}

/** How SDKs call what keeps their own instruments quiet; the interface has no name for it. */
const SUPPRESSED = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

/** Does what others shall learn nothing of a trace by, whatever instruments of HTTP were loaded beside us. */
export function untraced<T>(work: () => T): T {
  return context.with(context.active().setValue(SUPPRESSED, true), work);
}

export { type Span, SpanKind, SpanStatusCode };
