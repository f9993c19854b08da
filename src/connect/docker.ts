import type { Client, ConnectOptions, Setup, Step } from "./client.ts";
import { hostsTomlSteps } from "./hosts-toml.ts";
import { type CacheView, hostOf, isLoopback, isSecure, ownUrl, prefixOf, reachable, servedBy } from "./view.ts";

const HUB = "docker.io";

/** Docker Engine. What it can do depends on where it keeps images: `docker info` names the containerd snapshotter, or it has graph drivers. */
export const docker: Client = {
  name: "docker",
  aliases: ["dockerd", "moby", "docker-engine"],
  title: "Docker Engine",
  detect: "detect_docker",
  variants: (view, options) => [
    { name: "graph-drivers", setup: graphDrivers(view) },
    { name: "containerd-store", setup: containerdStore(view, options) },
  ],
};

/** Asks its mirrors for Docker Hub alone, and reads no hosts.toml. */
function graphDrivers(view: CacheView): Setup {
  const hub = servedBy(view, HUB);
  const mirror = hub === undefined ? undefined : mirrorOf(view);
  return {
    // It sends its user's password at Docker Hub to whoever asks for one (moby issue 30880).
    ways: ["anonymous", "mtls", "path"],
    refusal: refusalOf(view, mirror),
    steps: [
      ...(view.ways.includes("path")
        ? [
            needs(
              24,
              "a mirror with a path",
              "give this host a network or a client certificate instead of a secret path",
              '-n "$path_token"',
            ),
          ]
        : []),
      ...(mirror?.endsWith(`/${HUB}`) === true
        ? [needs(24, "a mirror with a path", `give ${HUB} a host name of its own in the cache's configuration`)]
        : []),
      ...(mirror === undefined
        ? []
        : [
            {
              kind: "json-list",
              path: "@docker@/daemon.json",
              key: "registry-mirrors",
              value: `${mirror}@t@`,
            } as const,
          ]),
      ...plainReferences(view),
    ],
    restart: { verb: "reload", service: "docker", onlyFor: "@docker@/daemon.json" },
    notes: [`Docker Engine with graph drivers asks mirrors for Docker Hub alone: pull others as ${example(view)}.`],
    tryIt: "docker pull alpine",
  };
}

function mirrorOf(view: CacheView): string | undefined {
  const hub = servedBy(view, HUB);
  if (hub === undefined) return undefined;
  const own = ownUrl(view, hub);
  if (own !== undefined && (hub.passThrough || !view.isForAll)) return own;
  if (!view.isForAll) return undefined;
  // A mirror names no registry.
  return view.defaultServes === HUB ? view.url : (own ?? `${view.url}/${HUB}`);
}

function refusalOf(view: CacheView, mirror: string | undefined): Setup["refusal"] {
  if (mirror === undefined) {
    return {
      why: `this cache does not serve ${HUB} here, and Docker Engine with graph drivers uses a mirror for nothing else`,
      hint: `pull by the cache's name: docker pull ${example(view)}`,
    };
  }
  if (["anonymous", "mtls", "path"].some((way) => (view.ways as readonly string[]).includes(way))) return undefined;
  return {
    why: "Docker Engine with graph drivers cannot send this cache's passwords to a mirror: it sends those of Docker Hub (moby issue 30880)",
    hint: `give it a secret path, a network or a client certificate (access in the cache's configuration), or docker login ${hostOf(view)} and pull ${example(view)}`,
  };
}

/** Engine 28 and later, where images are kept by containerd: it reads hosts.toml, for all registries. */
function containerdStore(view: CacheView, options: ConnectOptions): Setup {
  const older = "pull by the cache's name instead, or upgrade Docker Engine";
  return {
    ways: ["anonymous", "basic", "mtls"],
    steps: [
      needs(28, "hosts.toml", older),
      ...hostsTomlSteps(view, options, { folder: "@docker@/certs.d" }),
      ...plainReferences(view),
    ],
    // Read at each pull, but for addresses without TLS.
    restart: { verb: "reload", service: "docker", onlyFor: "@docker@/daemon.json" },
    notes: [],
    tryIt: "docker pull alpine",
  };
}

/** What `docker pull cache.example.com/ghcr.io/org/app` needs. */
function plainReferences(view: CacheView): Step[] {
  const hosts = [
    ...new Set([
      ...(view.isForAll ? [hostOf(view)] : []),
      ...reachable(view).map((one) => prefixOf(view, one).split("/")[0] ?? ""),
    ]),
  ];
  if (!isSecure(view)) {
    if (isLoopback(view)) return [];
    return hosts.map((host) => ({
      kind: "json-list",
      path: "@docker@/daemon.json",
      key: "insecure-registries",
      value: host,
    }));
  }
  return hosts.flatMap((host): Step[] => [
    ...(view.ca === undefined
      ? []
      : [{ kind: "own", path: `@docker@/certs.d/${host}/ca.crt`, text: view.ca } as const]),
    ...(view.ways.includes("mtls")
      ? ([
          { kind: "client-cert", path: `@docker@/certs.d/${host}/client.cert` },
          { kind: "client-key", path: `@docker@/certs.d/${host}/client.key` },
        ] as const)
      : []),
  ]);
}

function needs(major: number, what: string, hint: string, when?: string): Step {
  const line = `docker_at_least ${major} '${what}' '${hint.replaceAll("'", "")}'`;
  return { kind: "sh", line: when === undefined ? line : `if [ ${when} ]; then ${line}; fi` };
}

function example(view: CacheView): string {
  const registry = reachable(view).find(({ serves }) => serves !== HUB) ?? view.registries[0];
  return registry === undefined ? hostOf(view) : `${prefixOf(view, registry)}/org/app:1`;
}
