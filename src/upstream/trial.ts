import { isUntrusted } from "../lib/connection-faults.ts";
import type { Credentials, RegistryConfig } from "../config/config.ts";
import { parseRepositoryName } from "../oci/reference.ts";
import { ranOutOfTime } from "./aborts.ts";
import { failureKindOfStatus } from "./answers.ts";
import { Authorization } from "./authorization.ts";
import { discard, header, headerValues } from "./bodies.ts";
import { chooseChallenge, type Demand, parseChallenges } from "./challenge.ts";
import { type Connection, openConnection, type UpstreamsOptions } from "./create.ts";
import { Exchange } from "./exchange.ts";
import { faultOf } from "./faults.ts";
import { type Quota, quotaOf } from "./quota.ts";
import type { HttpAnswer } from "./request.ts";
import { basicHeader } from "./token-service.ts";
import { trustedRealm } from "./trust.ts";
import { UpstreamError } from "./upstream.ts";

/** The longest that somebody waits for the answer, milliseconds. */
export const TRIAL_MS_MAX = 20_000;

/**
 * - `reached` it answers, and no credentials were to be tried
 * - `taken` it takes them; `refused` it does not; `unasked` it wants none where a login asks, so that nobody can tell
 * - `unreachable` DNS, connect, no answer in time; `distrusted` its TLS certificate is not trusted
 * - `failed` whatever else it answered
 */
export type Verdict = "reached" | "taken" | "refused" | "unasked" | "unreachable" | "distrusted" | "failed";

/** How it went to ask a registry who we are. */
export interface Trial {
  readonly verdict: Verdict;
  /** A sentence about it without its end, which names the registry and no secret. */
  readonly message: string;
  /** Docker Hub's, where it tells one. */
  readonly quota: Quota | undefined;
  /** By the registry's clock, and by ours at the time; undefined where it does not say. */
  readonly clock?: { readonly theirsMs: number; readonly oursMs: number } | undefined;
}

/**
 * Asks a registry whether it is there and takes the configured credentials, as `docker login` would: nothing is pulled, and nothing
 * counts towards a quota. Never rejects.
 */
export async function tryRegistry(
  registry: RegistryConfig,
  options: UpstreamsOptions,
  asker?: AbortSignal,
): Promise<Trial> {
  const connection = openConnection(registry, options);
  const limit = AbortSignal.timeout(TRIAL_MS_MAX);
  const signal = AbortSignal.any(asker === undefined ? [limit] : [limit, asker]);
  // A token's fetch belongs to nobody otherwise.
  signal.addEventListener("abort", () => connection.closing.abort(), { once: true });
  let clock: Trial["clock"];
  const heard: Connection["send"] = async (request, until) => {
    const answer = await connection.send(request, until);
    const theirsMs = Date.parse(header(answer, "date") ?? "");
    if (!Number.isNaN(theirsMs)) clock = { theirsMs, oursMs: Date.now() };
    return answer;
  };
  try {
    const verdict = await login({ ...connection, send: heard }, registry.credentials, signal);
    const quota = verdict === "refused" ? undefined : await askQuota(connection, registry, signal);
    return { verdict, message: `${registry.serves} ${WORDS[verdict]}`, quota, clock };
  } catch (error) {
    const fault = faultOf(error, connection.upstream.host, signal);
    return { ...blame(fault, registry, signal), quota: undefined, clock };
  } finally {
    connection.closing.abort();
    await connection.dispatcher.destroy();
  }
}

const WORDS: Record<"reached" | "taken" | "refused" | "unasked", string> = {
  reached: "answers",
  taken: "takes user and password",
  refused: "refuses user or password",
  unasked: "answers, and asks for no password, so that it cannot be tried",
};

async function login(
  connection: Connection,
  credentials: Credentials | undefined,
  signal: AbortSignal,
): Promise<"reached" | "taken" | "refused" | "unasked"> {
  const isToken = credentials?.kind === "bearer";
  const first = await ping(connection, isToken ? `Bearer ${credentials.token}` : undefined, signal);
  if (first.status >= 400 && first.status !== 401 && first.status !== 403) throw refusalOf(first);
  if (credentials === undefined) return "reached";
  const isRefused = first.status === 401 || first.status === 403;
  if (isToken) return isRefused ? "refused" : "taken";
  const demand = chooseChallenge(parseChallenges(headerValues(first, "www-authenticate")), true);
  if (!isRefused) return "unasked";
  if (demand === undefined) throw refusalOf(first);
  const authorization = await meet(connection, demand, credentials, signal);
  if (authorization === undefined) return "refused";
  const { status } = await ping(connection, authorization, signal);
  return status === 401 || status === 403 ? "refused" : "taken";
}

/** What to come with, or undefined where the token service refuses the credentials. */
async function meet(
  { upstream, policy, fetchToken }: Connection,
  demand: Demand,
  credentials: Extract<Credentials, { kind: "basic" }>,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (demand.kind === "basic") return basicHeader(credentials);
  const realm = trustedRealm(demand.realm, upstream, policy);
  try {
    const { token } = await fetchToken({ realm, service: demand.service, scope: "", credentials });
    return `Bearer ${token}`;
  } catch (error) {
    if (!signal.aborted && error instanceof UpstreamError && error.kind === "unauthorized") return undefined;
    throw error;
  }
}

async function ping(
  { upstream, send, turn }: Connection,
  authorization: string | undefined,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  await turn(signal);
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await send({ method: "GET", url: new URL("/v2/", upstream), headers }, signal);
  discard(answer);
  return answer;
}

function refusalOf({ status }: HttpAnswer): UpstreamError {
  return new UpstreamError(failureKindOfStatus(status), `it answers with ${status}`, { status });
}

/** Where Docker Hub tells what is left; asking for it counts for nothing. */
const QUOTA_REPOSITORY = "ratelimitpreview/test";

/** Undefined where nothing is told, or where it cannot be asked: it is no reason to doubt the credentials. */
async function askQuota(
  { upstream, send, turn, policy, tokens }: Connection,
  { serves, credentials }: RegistryConfig,
  signal: AbortSignal,
): Promise<Quota | undefined> {
  const repository = parseRepositoryName(QUOTA_REPOSITORY);
  if (serves !== "docker.io" || repository === undefined) return undefined;
  const exchange = new Exchange(send, turn, new Authorization(policy, credentials, tokens), policy);
  const url = new URL(`/v2/${QUOTA_REPOSITORY}/manifests/latest`, upstream);
  try {
    const answer = await exchange.ask({ method: "HEAD", asked: "manifest", url, repository }, signal);
    discard(answer);
    return quotaOf(answer);
  } catch {
    return undefined;
  }
}

/** OpenSSL's names for what is wrong with a certificate, as Node.js passes them on. */
const CERTIFICATE_CODE =
  /^(?:CERT_|ERR_TLS_CERT|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF))/;

/** What a failure says about the registry. */
function blame(
  fault: UpstreamError,
  { serves, ca }: RegistryConfig,
  signal: AbortSignal,
): Pick<Trial, "verdict" | "message"> {
  const code = (fault.cause as NodeJS.ErrnoException | undefined)?.code;
  if (code !== undefined && CERTIFICATE_CODE.test(code)) {
    const more = ca === undefined && isUntrusted(fault.cause) ? "; `ca:` names a file with its authority" : "";
    return { verdict: "distrusted", message: `the TLS certificate of ${serves} is not trusted (${code})${more}` };
  }
  const isLate = fault.kind === "timeout" || ranOutOfTime(signal);
  if (isLate) return { verdict: "unreachable", message: `${serves} does not answer in time` };
  if (fault.kind === "unreachable") {
    const why = code === undefined ? "" : ` (${code})`;
    return { verdict: "unreachable", message: `${serves} cannot be reached${why}` };
  }
  return { verdict: "failed", message: `${serves} could not be asked: ${fault.message}` };
}
