import { type ConnectOptions, MADE_BY, type Step } from "./client.ts";
import { type CacheView, ownUrl, reachable, type ServedRegistry } from "./view.ts";

/** Where a client that reads `hosts.toml` looks for it: containerd, nerdctl, and Docker Engine with the containerd store. */
export interface HostsFolder {
  /** `/etc/containerd/certs.d`, or what stands for it. */
  readonly folder: string;
}

/** Beside the folders of registries; no registry can be called so. */
const OWN_FOLDER = "_registry-cache";

/**
 * One file for all registries where the cache has one name for all, since these clients say in `ns` whose image they want;
 * else one for each.
 */
export function hostsTomlSteps(view: CacheView, { only, fallback }: ConnectOptions, at: HostsFolder): Step[] {
  const registries = reachable(view).filter(({ serves }) => only === undefined || only.includes(serves));
  const isOneForAll = view.isForAll && only === undefined;
  const alone = registries.filter((registry) => !isOneForAll || registry.passThrough);
  const text = (url: string, server: string | undefined) => hostsToml(view, url, server, at);
  const files: Step[] = [
    ...(isOneForAll ? [own(view, `${at.folder}/_default`, text(view.url, fallback ? undefined : view.url))] : []),
    ...alone.map((registry) => {
      const url = addressOf(view, registry);
      const server = fallback ? `https://${upstreamName(registry)}` : url;
      return own(view, `${at.folder}/${registry.serves}`, text(url, server));
    }),
  ];
  const certificates: Step[] = [
    ...(view.ca === undefined ? [] : [ownText(`${at.folder}/${OWN_FOLDER}/ca.crt`, view.ca)]),
    ...(view.ways.includes("mtls")
      ? ([
          { kind: "client-cert", path: `${at.folder}/${OWN_FOLDER}/client.cert` },
          { kind: "client-key", path: `${at.folder}/${OWN_FOLDER}/client.key` },
        ] as const)
      : []),
  ];
  return [...certificates, ...files];
}

function addressOf(view: CacheView, registry: ServedRegistry): string {
  const named = ownUrl(view, registry);
  return named !== undefined && (registry.passThrough || !view.isForAll) ? named : view.url;
}

/** Docker Hub answers under another name than its images carry. */
function upstreamName({ serves }: ServedRegistry): string {
  return serves === "docker.io" ? "registry-1.docker.io" : serves;
}

function own(view: CacheView, folder: string, text: string): Step {
  // A password may stand in it.
  return { kind: "own", path: `${folder}/hosts.toml`, text, mode: view.ways.includes("basic") ? "0600" : "0644" };
}

function ownText(path: string, text: string): Step {
  return { kind: "own", path, text };
}

function hostsToml(view: CacheView, url: string, server: string | undefined, { folder }: HostsFolder): string {
  const lines = [
    `# ${MADE_BY}`,
    ...(server === undefined ? [] : [`server = "${server}"`, ""]),
    `[host."${url}"]`,
    `  capabilities = ["pull", "resolve"]`,
    ...(view.ca === undefined ? [] : [`  ca = "${folder}/${OWN_FOLDER}/ca.crt"`]),
    ...(view.ways.includes("mtls")
      ? [`@mtls?  client = [["${folder}/${OWN_FOLDER}/client.cert", "${folder}/${OWN_FOLDER}/client.key"]]`]
      : []),
    ...(view.ways.includes("basic")
      ? [`@basic?  [host."${url}".header]`, `@basic?    Authorization = "Basic @basic@"`]
      : []),
  ];
  return `${lines.join("\n")}\n`;
}
