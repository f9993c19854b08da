import { ranOutOfTime } from "./aborts.ts";
import { failureOf, protocolError, requireContent } from "./answers.ts";
import { discard, header, readAll } from "./bodies.ts";
import { decideRedirect, isRedirect, type RedirectPolicy } from "./redirects.ts";
import type { HttpAnswer, Send } from "./request.ts";
import type { BasicCredentials, IssuedToken, TokenRequest } from "./tokens.ts";
import { type RealmPolicy, trustedRealm } from "./trust.ts";
import { UpstreamError } from "./upstream.ts";

/** Tokens are some kilobytes at most; they travel in a header. */
export const TOKEN_BODY_BYTES_MAX = 64 * 1024;
/** A token's fetch belongs to nobody who could give it up, so it has a total limit of its own. */
export const TOKEN_FETCH_MS_MAX = 60_000;

const VISIBLE = /^[\x21-\x7e]+$/;

export interface TokenServiceOptions {
  readonly send: Send;
  /** Waits for the upstream's pace. */
  readonly turn: (signal: AbortSignal) => Promise<void>;
  readonly policy: RealmPolicy & RedirectPolicy;
  /** Ends what is under way when the upstream is closed. */
  readonly closing: AbortSignal;
  /** Hears how each went that came to an end. */
  readonly onFetched?: (token: { readonly isGiven: boolean; readonly ms: number }) => void;
}

/** Asks token services, as distribution's token specification says: GET with service and scope, Basic if there are credentials. */
export function createTokenFetch(options: TokenServiceOptions): (request: TokenRequest) => Promise<IssuedToken> {
  return async (request) => {
    const signal = AbortSignal.any([options.closing, AbortSignal.timeout(TOKEN_FETCH_MS_MAX)]);
    const startedAtMs = performance.now();
    const tell = (isGiven: boolean) => options.onFetched?.({ isGiven, ms: performance.now() - startedAtMs });
    try {
      const token = await fetchToken(options, request, signal);
      tell(true);
      return token;
    } catch (error) {
      if (!options.closing.aborted) tell(false);
      if (!ranOutOfTime(signal)) throw error;
      throw new UpstreamError("timeout", `no token in time from ${request.realm.host}`, { cause: error });
    }
  };
}

async function fetchToken(
  options: TokenServiceOptions,
  request: TokenRequest,
  signal: AbortSignal,
): Promise<IssuedToken> {
  const answer = await askFollowing(options, request, signal);
  if (answer.status !== 200) throw await refusalOf(answer, request, signal);
  requireContent(answer);
  return readToken(answer, await readAll(answer, TOKEN_BODY_BYTES_MAX, signal));
}

async function askFollowing(
  { send, turn, policy }: TokenServiceOptions,
  request: TokenRequest,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  let url = tokenUrl(request);
  const { origin } = url;
  for (let hops = 0; ; hops += 1) {
    const mayCarry = url.origin === origin && request.credentials !== undefined;
    const authorization = mayCarry ? { authorization: basicHeader(request.credentials) } : {};
    await turn(signal);
    const answer = await send(
      { method: "GET", url, headers: { accept: "application/json", ...authorization } },
      signal,
    );
    if (!isRedirect(answer.status)) return answer;
    discard(answer);
    const verdict = decideRedirect(url, header(answer, "location"), hops, policy);
    if (verdict.kind === "refuse") throw new UpstreamError(verdict.because, `${url.host}: ${verdict.reason}`);
    // A trusted service may not pass the question on to another that is not.
    url = trustedRealm(verdict.url.href, url, policy);
  }
}

function tokenUrl({ realm, service, scope }: TokenRequest): URL {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  if (scope !== "") url.searchParams.set("scope", scope);
  return url;
}

export function basicHeader({ username, password }: BasicCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/**
 * ghcr.io, Artifact Registry and Upbound hide unknown and private repositories here: 401, 403 or 404 to somebody anonymous
 * are about the repository. With credentials, 401 and 403 are about those: that must be reported, not tried anonymously.
 */
async function refusalOf(answer: HttpAnswer, request: TokenRequest, signal: AbortSignal): Promise<UpstreamError> {
  const authorization = request.credentials === undefined ? "none" : "basic";
  const failure = await failureOf({ ...answer, fromRegistry: false, authorization }, signal);
  if (authorization === "none" || failure.kind !== "forbidden") return failure;
  // Some say so of repositories that somebody's good credentials do not open.
  return new UpstreamError("unauthorized", failure.message, { status: failure.status });
}

/** `token` is distribution's own name for it, `access_token` OAuth's; services send one or both. */
function readToken(answer: HttpAnswer, bytes: Buffer): IssuedToken {
  const body = parseObject(bytes);
  const token = [body?.["token"], body?.["access_token"]].find((one) => typeof one === "string" && one !== "");
  // Anything else would break out of the header that carries it.
  if (typeof token !== "string" || !VISIBLE.test(token)) throw protocolError(answer, "no token");
  const expiresInS = body?.["expires_in"];
  const isNumber = typeof expiresInS === "number" && Number.isFinite(expiresInS) && expiresInS >= 0;
  return { token, expiresInS: isNumber ? expiresInS : undefined };
}

function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
