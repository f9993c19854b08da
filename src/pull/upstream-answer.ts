import { type ErrorCode, RegistryError } from "../oci/errors.ts";
import type { UpstreamError } from "../upstream/upstream.ts";

/** Seconds to wait that are named where upstream named none. Podman sleeps what we say, so it is short. */
const RETRY_AFTER_S = 5;

/** What the client was after; it decides the code of a 404. */
export type Wanted = "manifest" | "blob" | "tags" | "referrers";

const UNKNOWN_CODE: Record<Wanted, ErrorCode> = {
  manifest: "MANIFEST_UNKNOWN",
  blob: "BLOB_UNKNOWN",
  tags: "NAME_UNKNOWN",
  referrers: "NAME_UNKNOWN",
};

/** Says to a client what an upstream failure means for it: 404, 403, 429, 502, 503 or 504. */
export function answerFor(error: UpstreamError, wanted: Wanted): RegistryError {
  const options = { cause: error, detail: { upstream: error.kind } };
  const later = { ...options, retryAfterS: error.retryAfterS ?? RETRY_AFTER_S };
  switch (error.kind) {
    case "not-found":
      return new RegistryError(404, UNKNOWN_CODE[wanted], `upstream does not have it: ${error.message}`, options);
    // Not 401: that would need a challenge, and make Docker send its Docker Hub password here (moby#30880).
    case "unauthorized":
    case "forbidden":
      if (error.isOfCredentials && !error.isPersonal) {
        return new RegistryError(
          403,
          "DENIED",
          `this cache's credentials were refused upstream: ${error.message}`,
          options,
        );
      }
      return new RegistryError(403, "DENIED", `upstream denies it (private, or not there): ${error.message}`, options);
    case "rate-limited":
      return new RegistryError(429, "TOOMANYREQUESTS", `upstream limits our requests: ${error.message}`, later);
    case "quota":
      return new RegistryError(429, "TOOMANYREQUESTS", `upstream's quota is used up: ${error.message}`, later);
    case "timeout":
      return new RegistryError(504, "UNAVAILABLE", `upstream did not answer in time: ${error.message}`, options);
    case "unavailable":
    case "overloaded":
    case "aborted":
      return new RegistryError(503, "UNAVAILABLE", `upstream is not being asked now: ${error.message}`, later);
    case "unreachable":
    case "server-error":
    case "untrusted":
    case "protocol":
      return new RegistryError(502, "UNAVAILABLE", `upstream failed: ${error.message}`, options);
  }
}
