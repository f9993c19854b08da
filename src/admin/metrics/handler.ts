import { RegistryError } from "../../oci/errors.ts";
import type { Exchange } from "../../server/exchange.ts";
import type { Handler } from "../../server/handler.ts";
import { ProblemError } from "../../server/problem.ts";
import { sendText } from "../../server/respond.ts";
import type { Metrics } from "./metrics.ts";

/** Where Prometheus looks for them. */
export const METRICS_PATH = "/metrics";

export interface MetricsHandlerOptions {
  readonly metrics: Pick<Metrics, "samples">;
  /** Refuses, with an error, who may not read them. */
  readonly assertMayRead: (exchange: Exchange) => unknown;
}

/** `GET /metrics`, as text of Prometheus or of OpenMetrics. */
export function metricsHandler(options: MetricsHandlerOptions): Handler {
  return (exchange) => exchange.path === METRICS_PATH && serve(exchange, options);
}

async function serve(exchange: Exchange, { metrics, assertMayRead }: MetricsHandlerOptions): Promise<boolean> {
  if (exchange.req.method !== "GET" && !exchange.isHead) {
    throw new RegistryError(405, "UNSUPPORTED", "this path can only be read", {
      headers: { Allow: "GET, HEAD", Connection: "close" },
    });
  }
  exchange.notes.endpoint = "metrics";
  asRegistry(() => assertMayRead(exchange));
  // Many caches are never asked: what writes the text is loaded for those that are.
  const [{ exposition, formatFor }, samples] = await Promise.all([import("./exposition.ts"), metrics.samples()]);
  const contentType = formatFor(exchange.req.headers.accept);
  sendText(exchange, await exposition(samples, contentType), contentType, { "Cache-Control": "no-store" });
  return true;
}

/** Only below the API's path problems are told in their own form. */
function asRegistry(assert: () => unknown): void {
  try {
    assert();
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const { status, message, headers } = error;
    throw new RegistryError(status, status === 401 ? "UNAUTHORIZED" : "DENIED", message, { headers, cause: error });
  }
}
