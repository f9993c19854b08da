import type { axios } from "acme-client";

type Axios = typeof axios;

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

/** Why a question came to nothing, in the operator's words. */
export function unreached(url: string, error: unknown): Error {
  const { code = "", message = "" } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const host = URL.canParse(url) ? new URL(url).host : url;
  const reason = UNTRUSTED_CODES.has(code)
    ? "shows a certificate that is not trusted: name its authority in tls.directory_ca"
    : (REASONS[code] ?? "cannot be asked");
  const said = code === "" ? message : code;
  return new Error(`${host} ${reason}${said === "" ? "" : ` (${said})`}`, { cause: error });
}

/**
 * Has a question that nobody answered fail at once, and say why: the library would ask five times more, in silence, and then fail
 * for want of an answer. What was answered, be it with an error, is left to the library.
 */
export function failAtOnce(axios: Axios): void {
  const plain = axios.create({ adapter: "http" });
  axios.defaults.adapter = async (config) => {
    try {
      const unchanged = { transformRequest: [], transformResponse: [] };
      return await plain.request({ ...(config as object), ...unchanged, adapter: "http" });
    } catch (error) {
      // By what it finds there the library asks again, and that shall come here too.
      if (error instanceof Error && "response" in error && error.response !== undefined) {
        throw Object.assign(error, { config });
      }
      throw unreached(config.url ?? "", error);
    }
  };
}
