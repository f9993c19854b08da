import type { axios } from "acme-client";
import { connectionFault, isUntrusted } from "../lib/connection-faults.ts";

type Axios = typeof axios;

/** Why a question came to nothing, in the operator's words. */
export function unreached(url: string, error: unknown): Error {
  const { code = "", message = "" } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const host = URL.canParse(url) ? new URL(url).host : url;
  const hint = isUntrusted(error) ? ": name its authority in tls.directory_ca" : "";
  const reason = `${connectionFault(error) ?? "cannot be asked"}${hint}`;
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
