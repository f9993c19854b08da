import type { ProxySettings } from "./config.ts";
import type { Problem } from "./errors.ts";

/** Reads the usual variables; the lower-case ones win, as they do for curl. */
export function readProxy(environment: NodeJS.ProcessEnv, problems: Problem[]): ProxySettings {
  const read = (upper: string) => {
    const name = environment[upper.toLowerCase()] === undefined ? upper : upper.toLowerCase();
    return { name, value: environment[name]?.trim() ?? "" };
  };
  const url = ({ name, value }: { name: string; value: string }) => {
    if (value === "") return "";
    // Without a scheme it is the host and port of a plain HTTP proxy, as for curl.
    const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
    if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
    const hint = "write http://proxy.example.com:3128";
    const place = { file: undefined, line: undefined, column: undefined, path: name };
    problems.push({ ...place, message: "is not the address of an HTTP proxy", hint });
    return "";
  };
  return {
    httpProxy: url(read("HTTP_PROXY")),
    httpsProxy: url(read("HTTPS_PROXY")),
    noProxy: read("NO_PROXY").value,
  };
}

/** For people: `http://proxy.example.com:3128`, without user and password; undefined where there is none. */
export function proxyText({ httpProxy, httpsProxy }: ProxySettings): string | undefined {
  const origins = [httpsProxy, httpProxy].filter((one) => one !== "").map((one) => new URL(one).origin);
  return origins.length === 0 ? undefined : [...new Set(origins)].join(", ");
}
