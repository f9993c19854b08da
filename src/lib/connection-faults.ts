/** Why a server could not be asked, in the operator's words; codes are those of Node.js and OpenSSL. */

/** What Node.js says of a certificate that no authority it knows has signed. */
const UNTRUSTED_CODES: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: "is a name that DNS does not know",
  EAI_AGAIN: "cannot be resolved: DNS does not answer",
  ECONNREFUSED: "refuses connections: nothing listens there",
  ECONNABORTED: "did not answer in time",
  ETIMEDOUT: "did not answer in time",
  ECONNRESET: "broke the connection off",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
  EPROTO: "does not speak TLS: is it http://?",
  ERR_SSL_WRONG_VERSION_NUMBER: "does not speak TLS: is it http://?",
  ERR_TLS_CERT_ALTNAME_INVALID: "shows a certificate for another name",
  CERT_HAS_EXPIRED: "shows a certificate that has expired",
  CERT_NOT_YET_VALID: "shows a certificate that is not valid yet: is this machine's clock right?",
};

/** What follows a host's name in a sentence; undefined where the error says nothing of a connection. */
export function connectionFault(error: unknown): string | undefined {
  const code = codeOf(error);
  return UNTRUSTED_CODES.has(code) ? "shows a certificate that is not trusted" : REASONS[code];
}

/** Whether a certificate was refused because nobody knows its authority. */
export function isUntrusted(error: unknown): boolean {
  return UNTRUSTED_CODES.has(codeOf(error));
}

function codeOf(error: unknown): string {
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? "") : "";
}
