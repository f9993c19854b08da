import { ask, AskError } from "./ask.ts";
import type { KnownSecrets } from "./script.ts";
import { type CacheView, hostOf } from "./view.ts";

/** Somebody waits for it, and it only warns. */
const PROBE_WITHIN_MS = 3_000;

/** Whether a cache that was not asked for its settings answers, and takes what it is to be shown; undefined where all is well. */
export async function probe(view: CacheView, secrets: KnownSecrets): Promise<string | undefined> {
  const { user, password, clientCert: cert, clientKey: key, pathToken } = secrets;
  const url = new URL(`${view.url}${pathToken === undefined ? "" : `/t/${pathToken}`}/connect`);
  try {
    const { status } = await ask(url, { user, password, cert, key, ca: view.ca, withinMs: PROBE_WITHIN_MS });
    return judge(status, hostOf(view), secrets);
  } catch (error) {
    if (error instanceof AskError) return `${error.message}: does the cache run, and is its address right?`;
    // Such as a certificate that is none, of which the script says more.
    return `${hostOf(view)} cannot be asked (${String(error)})`;
  }
}

function judge(status: number, host: string, { user, clientCert, pathToken }: KnownSecrets): string | undefined {
  if (status === 200) return undefined;
  if (status !== 401 && status !== 403) return `${host} answers ${status}, and not as a cache does`;
  if (user !== undefined) return `${host} does not take this password of ${user} (${status})`;
  if (clientCert !== undefined) return `${host} does not take this client certificate (${status})`;
  if (pathToken !== undefined) return `${host} does not take this secret path (${status})`;
  // Nothing was shown, and other hosts may be let in by their networks.
  return undefined;
}
