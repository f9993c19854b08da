import pLimit from "p-limit";
import type { Config, RegistryConfig } from "../config/config.ts";
import { humanDuration } from "../lib/human.ts";
import { isLoopback } from "../lib/loopback.ts";
import { packageVersion } from "../lib/version.ts";
import { quotaText } from "../upstream/quota.ts";
import { type Trial, tryRegistry } from "../upstream/trial.ts";
import { type Check, type Finding, ok, problem, skipped, warning } from "./finding.ts";

/** How it went to ask an upstream. */
export interface Tried {
  readonly registry: RegistryConfig;
  readonly trial: Trial;
  readonly tookMs: number;
  /** Origin of the proxy on the way; undefined: directly. */
  readonly proxy: string | undefined;
}

/** Upstreams that are asked at once. */
const AT_ONCE_MAX = 8;

/** Undefined where they are not to be asked. */
export async function tryAll(config: Config, signal: AbortSignal): Promise<readonly Tried[]> {
  const limit = pLimit(AT_ONCE_MAX);
  const version = packageVersion();
  return await Promise.all(
    config.registries.map(
      async (registry) =>
        await limit(async (): Promise<Tried> => {
          const startedAtMs = performance.now();
          const trial = await tryRegistry(registry, { version, proxy: config.proxy }, signal);
          return { registry, trial, tookMs: performance.now() - startedAtMs, proxy: proxyFor(registry, config) };
        }),
    ),
  );
}

export function upstreamsCheck(tried: Promise<readonly Tried[]> | undefined): Check {
  return {
    title: "Upstreams",
    look: async () =>
      tried === undefined ? [skipped("they were not asked (--offline)")] : judgeUpstreams(await tried),
  };
}

/** So many that cannot be reached for the same reason have it in common. */
const TOGETHER_MIN = 3;

export function judgeUpstreams(tried: readonly Tried[]): readonly Finding[] {
  const groups = Map.groupBy(tried, (one) => (one.trial.verdict === "unreachable" ? reasonOf(one) : one.registry.id));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.length < TOGETHER_MIN) return group.flatMap(judgeUpstream);
    const names = group.map(({ registry }) => registry.serves).join(", ");
    return [problem(`${names}: each${reasonOf(first)}`, reachFix(first.trial.message, first.proxy))];
  });
}

/** What is said of it behind its name. */
function reasonOf({ registry, trial, proxy }: Tried): string {
  return `${trial.message.slice(registry.serves.length)}${byProxy(proxy)}`;
}

function byProxy(proxy: string | undefined): string {
  return proxy === undefined ? "" : ` through the proxy ${proxy}`;
}

/** As the transport has it; NO_PROXY says of whole names and of what is below them. */
export function proxyFor(
  { upstream }: Pick<RegistryConfig, "upstream">,
  { proxy }: Pick<Config, "proxy">,
): string | undefined {
  const { protocol, hostname } = new URL(upstream);
  const chosen = protocol === "https:" ? proxy.httpsProxy || proxy.httpProxy : proxy.httpProxy;
  if (chosen === "" || isLoopback(hostname)) return undefined;
  const direct = proxy.noProxy.split(/[\s,]+/).map((one) =>
    one
      .replace(/^\*?\./, "")
      .replace(/:\d+$/, "")
      .toLowerCase(),
  );
  const passes = direct.some(
    (one) => one === "*" || (one !== "" && (hostname === one || hostname.endsWith(`.${one}`))),
  );
  return passes ? undefined : new URL(chosen).origin;
}

export function judgeUpstream({ registry, trial, tookMs, proxy }: Tried): readonly Finding[] {
  const by = byProxy(proxy);
  switch (trial.verdict) {
    case "reached":
    case "taken":
    case "unasked":
      return judgeQuota(registry, trial, `${trial.message}, in ${humanDuration(tookMs)}${by}`);
    case "refused":
      return [problem(trial.message, credentialsFix(registry))];
    case "unreachable":
      return [problem(`${trial.message}${by}`, reachFix(trial.message, proxy))];
    case "distrusted":
      return [
        problem(
          trial.message.replace(/;.*/, ""),
          `name the authority of its certificate: registries.${registry.id}.ca; a proxy that opens TLS has one of its own`,
        ),
      ];
    case "failed":
      return [
        problem(
          `${trial.message}${by}`,
          "look whether the registry has trouble (its status page), and at `upstream`; what is held is served meanwhile",
        ),
      ];
  }
}

function credentialsFix({ id, credentials }: RegistryConfig): string {
  const variable = `REGISTRY_CACHE_${id.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
  if (credentials?.kind === "bearer") return `put a new token into ${variable}_TOKEN; such tokens live for hours`;
  return `put the right ones into \`username\` and ${variable}_PASSWORD, or take both away`;
}

function reachFix(message: string, proxy: string | undefined): string {
  if (proxy !== undefined) return `look whether the proxy lets it through (HTTPS_PROXY, NO_PROXY)`;
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) return "mend this machine's DNS, or the name in `upstream`";
  return "open the way through the firewall, or set HTTPS_PROXY; what is held is served meanwhile";
}

/** A tenth is little. */
const LITTLE = 0.1;

function judgeQuota({ serves, credentials }: RegistryConfig, { quota }: Trial, message: string): readonly Finding[] {
  if (quota === undefined) return [ok(message)];
  const text = `${message}; ${quotaText(quota)}`;
  const fix =
    credentials === undefined
      ? `give the cache an account of ${serves}, which may pull more`
      : "wait, or take an account that may pull more; what is held is served meanwhile";
  if (quota.remaining <= 0) return [problem(text, fix)];
  return [quota.remaining < LITTLE * quota.limit ? warning(text, fix) : ok(text)];
}
