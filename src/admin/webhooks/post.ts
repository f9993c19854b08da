import { createHmac } from "node:crypto";
import { Agent as HttpAgent, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import type { ProxySettings } from "../../config/config.ts";
import { CLOUD_EVENT_TYPE } from "./cloud-event.ts";
import type { TryResult } from "./retry.ts";

/** What others sign what they send with too, so that receivers know how to check it: `sha256=` and hexadecimal digits. */
export const SIGNATURE_HEADER = "X-Hub-Signature-256";

export interface Post {
  /** Its user and password, where it has some, go as Basic authentication. */
  readonly url: URL;
  readonly body: string;
  readonly secret: string | undefined;
  readonly userAgent: string;
  readonly agents: Agents;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** A connection for each message: there are few, and one that was kept may have ended. */
export function agentsBy({ httpProxy, httpsProxy, noProxy }: ProxySettings): Agents {
  const proxyEnv = { HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy };
  return { http: new HttpAgent({ proxyEnv }), https: new HttpsAgent({ proxyEnv }) };
}

/** One try; never rejects. Redirects are not followed: they are answers like others, and of the body nothing is read. */
export async function post(what: Post): Promise<TryResult> {
  const { promise, resolve } = Promise.withResolvers<TryResult>();
  const signal = AbortSignal.any([what.signal, AbortSignal.timeout(what.timeoutMs)]);
  try {
    const sent = started(what, signal);
    sent.once("response", (answer) => {
      const retryAfterS = /^\d{1,6}$/.test(answer.headers["retry-after"] ?? "")
        ? Number(answer.headers["retry-after"])
        : undefined;
      resolve({ kind: "answered", status: answer.statusCode ?? 0, retryAfterS });
      answer.destroy();
    });
    sent.on("error", (error) => resolve({ kind: "failed", reason: reasonOf(error, what) }));
    sent.end(what.body);
  } catch (error) {
    resolve({ kind: "failed", reason: reasonOf(error, what) });
  }
  return await promise;
}

function started({ url, body, secret, userAgent, agents }: Post, signal: AbortSignal) {
  const headers: Record<string, string | number> = {
    "Content-Type": CLOUD_EVENT_TYPE,
    "Content-Length": Buffer.byteLength(body),
    "User-Agent": userAgent,
  };
  if (secret !== undefined) headers[SIGNATURE_HEADER] = signatureOf(body, secret);
  const options = { method: "POST", headers, signal };
  return url.protocol === "https:"
    ? requestHttps(url, { ...options, agent: agents.https })
    : requestHttp(url, { ...options, agent: agents.http });
}

export function signatureOf(body: string, secret: string): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** The message of an error may have the address in it. */
function reasonOf(error: unknown, { signal, timeoutMs }: Post): string {
  if (signal.aborted) return "the cache is stopping";
  if (error instanceof Error && error.name === "AbortError") return `it did not answer within ${timeoutMs / 1_000} s`;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "the connection failed";
}
