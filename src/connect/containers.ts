import { type Client, type ConnectOptions, MADE_BY, type Setup } from "./client.ts";
import { hostsIn, imageOf, oneByOneNotes, pemSteps, type Prefixed, prefixed } from "./parts.ts";
import { quoted } from "./sh-word.ts";
import { type CacheView, hostOf, isSecure } from "./view.ts";

/** Podman, Buildah, Skopeo and CRI-O read the same files. */
export const podman: Client = {
  name: "podman",
  aliases: ["buildah", "skopeo", "cri-o", "crio", "containers"],
  title: "Podman, Buildah, Skopeo and CRI-O",
  scope: "host",
  detect: "detect_none",
  variants: (view, options) => [{ name: "containers", setup: setup(view, options) }],
};

/** The name comes after those of distributions, since the last one in order counts. */
const DROP_IN = "@containers@/registries.conf.d/50-registry-cache.conf";

function setup(view: CacheView, options: ConnectOptions): Setup {
  const mirrors = prefixed(view, options);
  const hosts = hostsIn(mirrors);
  return {
    // Basic comes from `podman login`, which is each user's own.
    ways: ["anonymous", "mtls", "basic"],
    login: `podman login ${hosts[0] ?? hostOf(view)}`,
    steps: [
      { kind: "sh", line: `containers_others ${mirrors.map(({ serves }) => quoted(serves)).join(" ")}` },
      { kind: "own", path: DROP_IN, text: registriesConf(view, options) },
      ...(isSecure(view) ? hosts.flatMap((host) => pemSteps(view, `@containers@/certs.d/${host}`)) : []),
    ],
    notes: [
      ...oneByOneNotes(view, options),
      "CRI-O reads them after systemctl reload crio; the others at each pull.",
      ...(options.fallback ? [] : fallbackIsOff(mirrors)),
    ],
    tryIt: `podman pull ${imageOf(view, options)}`,
  };
}

function fallbackIsOff(mirrors: readonly Prefixed[]): string[] {
  return [`What is pulled as ${mirrors[0]?.serves ?? "docker.io"}/... comes from the cache or not at all.`];
}

/** `location` is asked after all mirrors; without a fallback it is the cache itself. */
export function registriesConf(view: CacheView, options: ConnectOptions): string {
  const insecure = isSecure(view) ? [] : ["insecure = true"];
  const tables = prefixed(view, options).map(({ serves, location }) => {
    const lines = options.fallback
      ? [`location = "${serves}"`, "[[registry.mirror]]", `location = "${location}"`, ...insecure]
      : [`location = "${location}"`, ...insecure];
    return ["", "[[registry]]", `prefix = "${serves}"`, ...lines, ""].join("\n");
  });
  return `# ${MADE_BY}\n${tables.join("")}`;
}
