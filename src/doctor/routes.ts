import { describe, type DescribedConfig } from "../connect/describe.ts";
import { assertMayConnect, CONNECT_PATH, NO_STORE, originOf } from "../connect/routes.ts";
import { printable } from "../lib/printable.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "../server/exchange.ts";
import type { Handler } from "../server/handler.ts";
import { sendJson, sendText } from "../server/respond.ts";
import type { SeenRequest } from "../server/seen.ts";
import { doctorScript } from "./script.ts";

/** A script that finds out whether the host it runs on pulls through this cache. */
const SCRIPT_PATH = `${CONNECT_PATH}/doctor`;
/** What the cache was lately asked for by the host that asks now. */
const SEEN_PATH = `${CONNECT_PATH}/seen`;

export interface DoctorRoutesOptions {
  readonly config: DescribedConfig;
  /** Refuses pages in a browser. */
  readonly assertOwn: (exchange: Exchange) => void;
  /** The oldest first. */
  readonly seen: (client: string) => Promise<readonly SeenRequest[]>;
  readonly seenProbe: (nonce: string) => readonly SeenRequest[];
}

/** `/connect/doctor` and `/connect/seen`, for whoever may come in, as for the rest of `/connect`. */
export function doctorHandler({ config, assertOwn, seen, seenProbe }: DoctorRoutesOptions): Handler {
  const script = async (exchange: Exchange): Promise<boolean> => {
    assertMayConnect(exchange);
    assertOwn(exchange);
    const view = describe(config, originOf(exchange), exchange.access.ways);
    sendText(exchange, doctorScript(view), "text/x-shellscript; charset=utf-8", NO_STORE);
    return true;
  };
  const told = async (exchange: Exchange): Promise<boolean> => {
    assertMayConnect(exchange);
    assertOwn(exchange);
    const { query, client = "" } = exchange;
    const probe = query.get("probe");
    const sinceMs = sinceOf(query.get("since"));
    // An address is the asker's own, and a probe's name is known to whoever has made it up.
    const requests = probe === null ? await seen(client) : seenProbe(probe);
    const repository = query.get("repository");
    const wanted = requests.filter(
      (one) =>
        one.atMs >= sinceMs && (repository === null || one.repository === undefined || one.repository === repository),
    );
    const answer = { client, nowMs: Date.now(), requests: wanted.map((one) => toldOf(one, exchange, probe !== null)) };
    if (query.get("format") !== "lines") sendJson(exchange, 200, answer, NO_STORE);
    else sendText(exchange, lines(answer), "text/plain; charset=utf-8", NO_STORE);
    return true;
  };
  return (exchange) => {
    if (exchange.path === SCRIPT_PATH) return script(exchange);
    return exchange.path === SEEN_PATH && told(exchange);
  };
}

/** Several hosts may come by one address: what somebody else has pulled by name or credentials is theirs. */
function toldOf(
  { who, ...request }: SeenRequest,
  { identity: { principal } }: Exchange,
  isProbe: boolean,
): ToldRequest {
  const asker = principal.method === "anonymous" ? undefined : principal.name;
  if (isProbe || who === undefined || who === asker) return request;
  return { ...request, repository: undefined, reference: undefined, error: undefined };
}

type ToldRequest = Omit<SeenRequest, "who">;

/** Milliseconds since the epoch by our own clock, as `nowMs` of an earlier answer. */
function sinceOf(text: string | null): number {
  if (text === null) return 0;
  if (/^\d{1,16}$/.test(text)) return Number(text);
  throw new RegistryError(400, "UNSUPPORTED", "since must be a whole number of milliseconds, as nowMs is");
}

/** For sh: fields that are separated by tabs, nothing as `-`. */
function lines({
  client,
  nowMs,
  requests,
}: {
  client: string;
  nowMs: number;
  requests: readonly ToldRequest[];
}): string {
  const line = (...fields: readonly (string | number | undefined)[]) =>
    fields.map((field) => (field === undefined || field === "" ? "-" : printable(String(field)))).join("\t");
  const ofRequest = (one: ToldRequest) => {
    const { client: from, status, method, endpoint, registry, repository, reference, outcome, error, userAgent } = one;
    return line("request", from, status, method, endpoint, registry, repository, reference, outcome, error, userAgent);
  };
  return `${[line("client", client), line("now", nowMs), ...requests.map(ofRequest)].join("\n")}\n`;
}
