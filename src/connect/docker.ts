import type { Client, ConnectOptions, Refusal, Setup, Step } from "./client.ts";
import { HOSTS_TOML_WAYS, hostsTomlNotes, hostsTomlSteps } from "./hosts-toml.ts";
import {
  alpineOf,
  exampleOf,
  fallbackNotes,
  hasClientCertificates,
  hostsIn,
  HUB,
  imageOf,
  pemSteps,
  prefixed,
} from "./parts.ts";
import { quoted } from "./sh-word.ts";
import { type CacheView, hostOf, isLoopback, isSecure, ownUrl, servedBy, type Way } from "./view.ts";

/** Docker Engine. What it can do depends on where it keeps images: `docker info` names the containerd snapshotter, or it has graph drivers. */
export const docker: Client = {
  name: "docker",
  aliases: ["dockerd", "moby", "docker-engine"],
  title: "Docker Engine",
  scope: "host",
  detect: "detect_docker",
  variants: (view, options) => [
    { name: "graph-drivers", setup: graphDrivers(view, options) },
    { name: "containerd-store", setup: containerdStore(view, options) },
    { name: "references", setup: references(view, options) },
  ],
};

const DAEMON_JSON = "@docker@/daemon.json";
const VALIDATE: Step = { kind: "sh", line: "docker_validate" };

/** It sends its user's password at Docker Hub to a mirror that asks for one (moby issue 30880). */
const MIRROR_WAYS: readonly Way[] = ["anonymous", "mtls", "path"];

/** Asks its mirrors for Docker Hub alone, and reads no hosts.toml. */
function graphDrivers(view: CacheView, options: ConnectOptions): Setup {
  const mirror = mirrorOf(view, options);
  return {
    ways: MIRROR_WAYS,
    refusal: refusalOf(view, mirror),
    steps: [
      ...(mirror === undefined ? [] : mirrorSteps(view, mirror)),
      ...plainReferences(view, options),
      ...loopbackSteps(view),
      VALIDATE,
    ],
    restart: { verb: "reload", service: "docker", onlyFor: DAEMON_JSON },
    notes: [
      `Docker Engine with graph drivers asks mirrors for ${HUB} alone${othersAs(view, options)}.`,
      ...fallbackNotes(options, "Docker Engine with graph drivers"),
    ],
    tryIt: "docker pull alpine",
  };
}

function mirrorSteps(view: CacheView, mirror: string): Step[] {
  return [
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
    ...(mirror.endsWith(`/${HUB}`)
      ? [needs(24, "a mirror with a path", `give ${HUB} a host name of its own in the cache's configuration`)]
      : []),
    { kind: "json-list", path: DAEMON_JSON, key: "registry-mirrors", value: `${mirror}@t@` },
  ];
}

/** Secret paths are for mirrors; whoever comes in by nothing else cannot pull by the cache's own name. */
function othersAs(view: CacheView, options: ConnectOptions): string {
  const can = view.ways.some((way) => way !== "path");
  return can ? `: pull others as ${exampleOf(view, { ...options, only: undefined })}` : "";
}

/** The mirror for Docker Hub; undefined where there is to be none. */
export function mirrorOf(view: CacheView, { only }: ConnectOptions): string | undefined {
  const hub = servedBy(view, HUB);
  if (hub === undefined || only?.includes(HUB) === false) return undefined;
  const own = ownUrl(view, hub);
  if (own !== undefined && (hub.passThrough || !view.isForAll)) return own;
  if (!view.isForAll) return undefined;
  // A mirror names no registry.
  return view.defaultServes === HUB ? view.url : (own ?? `${view.url}/${HUB}`);
}

function refusalOf(view: CacheView, mirror: string | undefined): Refusal | undefined {
  if (mirror === undefined) {
    return {
      why: `Docker Engine with graph drivers uses a mirror for ${HUB} alone, which is not what this cache is to serve here`,
      hint: "pull by the cache's name (--variant references)",
    };
  }
  if (MIRROR_WAYS.some((way) => view.ways.includes(way))) return undefined;
  return {
    why: "Docker Engine with graph drivers cannot send this cache's passwords to a mirror: it sends those of Docker Hub (moby issue 30880)",
    hint: `give it a secret path, a network or a client certificate (access in the cache's configuration), or pull by the cache's name (--variant references)`,
  };
}

/** Engine 28 and later, where images are kept by containerd: it reads hosts.toml, for all registries. */
function containerdStore(view: CacheView, options: ConnectOptions): Setup {
  return {
    ways: HOSTS_TOML_WAYS,
    steps: [
      needs(28, "hosts.toml", "pull by the cache's name instead, or upgrade Docker Engine"),
      ...hostsTomlSteps(view, options, { folder: "@docker@/certs.d" }),
      ...plainReferences(view, options),
      VALIDATE,
    ],
    // hosts.toml is read at each pull.
    restart: { verb: "reload", service: "docker", onlyFor: DAEMON_JSON },
    notes: [
      ...hostsTomlNotes(view),
      "`docker build` reads the same files; builders of docker buildx create do not (connect buildx).",
    ],
    tryIt: `docker pull ${imageOf(view, options)}`,
  };
}

/** No mirror at all, but the cache's own name in what is pulled: that works with every version, and with passwords. */
function references(view: CacheView, options: ConnectOptions): Setup {
  return {
    ways: ["anonymous", "mtls", "basic"],
    login: `docker login ${hostOf(view)}`,
    steps: [...plainReferences(view, options), ...loopbackSteps(view), VALIDATE],
    restart: { verb: "reload", service: "docker", onlyFor: DAEMON_JSON },
    notes: [`What is pulled as ${exampleOf(view, options)} comes through the cache, and nothing else.`],
    tryIt: `docker pull ${alpineOf(view, options)}`,
  };
}

/** What `docker pull cache.example.com/ghcr.io/org/app` needs. */
function plainReferences(view: CacheView, options: ConnectOptions): Step[] {
  const all = hostsIn(prefixed(view, options));
  const hosts = view.isForAll ? [...new Set([hostOf(view), ...all])] : all;
  if (isSecure(view)) return hosts.flatMap((host) => pemSteps(view, `@docker@/certs.d/${host}`));
  // Docker takes plain HTTP from loopback anyway.
  if (isLoopback(view)) return [];
  return hosts.map((host) => ({ kind: "json-list", path: DAEMON_JSON, key: "insecure-registries", value: host }));
}

/** Where it looks at no certificate, and at no folder of them. */
function loopbackSteps(view: CacheView): Step[] {
  if (!isLoopback(view) || !hasClientCertificates(view)) return [];
  const warning = `Docker shows no client certificate to loopback addresses such as ${hostOf(view)}: let the cache have the address or a name of this machine (listen, url)`;
  return [{ kind: "sh", line: `if [ -n "$client_cert" ]; then warn ${quoted(warning)}; fi` }];
}

function needs(major: number, what: string, hint: string, when?: string): Step {
  const line = `docker_at_least ${major} ${quoted(what)} ${quoted(hint)}`;
  return { kind: "sh", line: when === undefined ? line : `if [ ${when} ]; then ${line}; fi` };
}
