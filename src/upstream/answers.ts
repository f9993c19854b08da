import { bareMediaType } from "../oci/media-types.ts";
import { cancel, discard, header, readAll } from "./bodies.ts";
import { isSpent } from "./quota.ts";
import type { HttpAnswer } from "./request.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { UpstreamError, type UpstreamErrorKind } from "./upstream.ts";

/** An answer after all redirects and token business. */
export interface Answer extends HttpAnswer {
  /** Whether the registry itself answered, and not a host that it led to. */
  readonly fromRegistry: boolean;
  /** What the question carried. */
  readonly authorization: "none" | "token" | "basic" | "bearer";
}

/** How much of an error's body is read for its code, and how long that may take. */
const ERROR_BYTES_MAX = 16 * 1024;
const ERROR_BODY_WAIT_MS = 1_000;
const PATH_LENGTH_MAX = 300;

/**
 * `GET ghcr.io/v2/a/manifests/1`: without the query, which may be a signature. Of other hosts not even the path, which
 * may be one too.
 */
export function describe({
  method,
  url,
  fromRegistry = true,
}: HttpAnswer & Partial<Pick<Answer, "fromRegistry">>): string {
  return `${method} ${url.host}${fromRegistry ? url.pathname.slice(0, PATH_LENGTH_MAX) : ""}`;
}

/** The error that a refusing answer stands for. Takes care of the body. */
export async function failureOf(answer: Answer, signal: AbortSignal): Promise<UpstreamError> {
  const kind = failureKind(answer);
  const code = await errorCode(answer, signal);
  const status = code === undefined ? `${answer.status}` : `${answer.status} ${code}`;
  return new UpstreamError(kind, `${describe(answer)}: ${status}${refusal(answer)}`, {
    status: answer.status,
    retryAfterS: parseRetryAfter(header(answer, "retry-after"), Date.now()),
    isElsewhere: !answer.fromRegistry,
    isOfCredentials: isOfCredentials(answer),
  });
}

export function failureKindOfStatus(status: number): UpstreamErrorKind {
  if (status >= 500) return "server-error";
  switch (status) {
    case 401:
      return "unauthorized";
    case 402:
    case 403:
    case 451:
      return "forbidden";
    case 404:
    case 410:
      return "not-found";
    case 429:
      return "rate-limited";
    default:
      return "protocol";
  }
}

/** A ready token that has run out is told by 403 (AWS), but what has to be renewed are our credentials. */
function failureKind(answer: Answer): UpstreamErrorKind {
  const kind = failureKindOfStatus(answer.status);
  // It has not asked for a pause: what costs no pull may go on.
  if (kind === "rate-limited" && answer.fromRegistry && isSpent(answer)) return "quota";
  return kind === "forbidden" && answer.authorization === "bearer" ? "unauthorized" : kind;
}

/** Of a repository that good credentials do not open, registries say 403. */
function isOfCredentials(answer: Answer): boolean {
  if (answer.authorization === "bearer") return failureKind(answer) === "unauthorized";
  return answer.status === 401 && answer.authorization === "basic";
}

function refusal({ status, authorization }: Answer): string {
  if (status !== 401 && status !== 403) return "";
  if (authorization === "bearer") return ": the configured token was refused, it may have expired";
  return authorization === "basic" ? ": the configured credentials were refused" : "";
}

/** As the specification has it; whatever it really is, it throws at worst, and that is caught. */
interface ErrorBody {
  readonly errors?: readonly { readonly code?: unknown }[];
}

/** `DENIED`, `MANIFEST_UNKNOWN`: the specification's code where the body has one; it helps whoever reads the log. */
async function errorCode(answer: Answer, signal: AbortSignal): Promise<string | undefined> {
  if (answer.method === "HEAD" || !bareMediaType(header(answer, "content-type") ?? "").endsWith("json")) {
    discard(answer);
    return undefined;
  }
  const timer = setTimeout(() => cancel(answer), ERROR_BODY_WAIT_MS);
  try {
    const body: unknown = JSON.parse((await readAll(answer, ERROR_BYTES_MAX, signal)).toString());
    const code = (body as ErrorBody | null)?.errors?.[0]?.code;
    return typeof code === "string" && /^[A-Z_]{1,40}$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Lets only proper content pass: an HTML page is somebody's error or log-in page whatever its status says (harbor#23911),
 * and encoded bytes are not those that a digest names. Takes care of the body when it throws.
 * @throws UpstreamError `protocol`
 */
export function requireContent(answer: HttpAnswer): void {
  const encoding = header(answer, "content-encoding")?.trim().toLowerCase();
  const encoded = encoding !== undefined && encoding !== "" && encoding !== "identity";
  if (!encoded && !isHtml(answer)) return;
  cancel(answer);
  throw protocolError(answer, encoded ? "an encoded body" : "an HTML page");
}

export function isHtml(answer: HttpAnswer): boolean {
  return bareMediaType(header(answer, "content-type") ?? "") === "text/html";
}

/** `what` finishes the sentence "GET host/path: it sent ...". */
export function protocolError(answer: HttpAnswer, what: string): UpstreamError {
  return new UpstreamError("protocol", `${describe(answer)}: it sent ${what}`, { status: answer.status });
}

/**
 * Content answers only: 200, or whatever else is passed. All others become errors.
 * @throws UpstreamError
 */
export async function requireStatus(
  answer: Answer,
  signal: AbortSignal,
  ...statuses: readonly number[]
): Promise<void> {
  if (!statuses.includes(answer.status)) throw await failureOf(answer, signal);
  requireContent(answer);
}
