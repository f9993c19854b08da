import { type ConnectOptions, MADE_BY, type Step } from "./client.ts";
import { chosen, hasClientCertificates, HUB, modeOf, pemSteps } from "./parts.ts";
import { type CacheView, ownUrl, type ServedRegistry, type Way } from "./view.ts";

/** Where a client that reads `hosts.toml` looks for it: containerd, nerdctl, and Docker Engine with the containerd store. */
export interface HostsFolder {
  /** Where it is written: `/etc/containerd/certs.d`, or what stands for it. */
  readonly folder: string;
  /** What it is called where it is read, if that is elsewhere. */
  readonly readAs?: string;
  /** Whether each registry needs a file of its own, since there may be others already. */
  readonly isEach?: boolean;
}

/** By which these clients can come in: a header, a certificate, and for Docker Hub a secret path. */
export const HOSTS_TOML_WAYS: readonly Way[] = ["anonymous", "mtls", "basic", "path"];

/**
 * One file for all registries where the cache has one name for all, since these clients say in `ns` whose image they want;
 * else one for each.
 */
export function hostsTomlSteps(view: CacheView, options: ConnectOptions, at: HostsFolder): Step[] {
  const byPath = isByPathAlone(view);
  const isOneForAll = view.isForAll && options.only === undefined && at.isEach !== true && !byPath;
  const alone = chosen(view, options).filter(
    (registry) => (!isOneForAll || registry.passThrough) && (!byPath || registry.serves === HUB),
  );
  const text = (url: string, server: string | undefined) => hostsToml(view, url, server, at);
  return [
    ...pemSteps(view, `${at.folder}/@own@`),
    ...(isOneForAll
      ? [own(view, `${at.folder}/_default`, text(view.url, options.fallback ? undefined : view.url))]
      : []),
    ...alone.map((registry) => {
      const url = `${addressOf(view, registry)}${byPath ? "@t@" : ""}`;
      const server = options.fallback ? `https://${upstreamName(registry)}` : url;
      return own(view, `${at.folder}/${registry.serves}`, text(url, server));
    }),
  ];
}

/** A secret path is for Docker Hub alone, so that it is used where there is nothing else. */
function isByPathAlone({ ways }: CacheView): boolean {
  return ways.length > 0 && ways.every((way) => way === "path");
}

export function hostsTomlNotes(view: CacheView): string[] {
  return isByPathAlone(view)
    ? [`A secret path is good for ${HUB} alone: give this host a network, a password or a certificate for the others.`]
    : [];
}

function addressOf(view: CacheView, registry: ServedRegistry): string {
  const named = ownUrl(view, registry);
  return named !== undefined && (registry.passThrough || !view.isForAll) ? named : view.url;
}

/** Docker Hub answers under another name than its images carry. */
function upstreamName({ serves }: ServedRegistry): string {
  return serves === HUB ? "registry-1.docker.io" : serves;
}

function own(view: CacheView, folder: string, text: string): Step {
  return { kind: "own", path: `${folder}/hosts.toml`, text, mode: modeOf(view) };
}

function hostsToml(
  view: CacheView,
  url: string,
  server: string | undefined,
  { folder, readAs = folder }: HostsFolder,
): string {
  const pems = `${readAs}/@own@`;
  const lines = [
    `# ${MADE_BY}`,
    ...(server === undefined ? [] : [`server = "${server}"`, ""]),
    `[host."${url}"]`,
    `  capabilities = ["pull", "resolve"]`,
    ...(view.ca === undefined ? [] : [`  ca = "${pems}/ca.crt"`]),
    ...(hasClientCertificates(view) ? [`@mtls?  client = [["${pems}/client.cert", "${pems}/client.key"]]`] : []),
    ...(view.ways.includes("basic")
      ? [`@basic?  [host."${url}".header]`, `@basic?    Authorization = "Basic @basic@"`]
      : []),
  ];
  return `${lines.join("\n")}\n`;
}
