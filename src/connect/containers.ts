import { type Client, type ConnectOptions, MADE_BY, type Setup, type Step } from "./client.ts";
import { type CacheView, hostOf, isSecure, prefixOf, reachable } from "./view.ts";

/** Podman, Buildah, Skopeo and CRI-O read the same files. */
export const podman: Client = {
  name: "podman",
  aliases: ["buildah", "skopeo", "cri-o", "crio", "containers"],
  title: "Podman, Buildah, Skopeo and CRI-O",
  detect: "detect_none",
  variants: (view, options) => [{ name: "containers", setup: setup(view, options) }],
};

function setup(view: CacheView, options: ConnectOptions): Setup {
  const registries = reachable(view).filter(
    ({ serves }) => options.only === undefined || options.only.includes(serves),
  );
  const mirrors = registries.map((registry) => ({ serves: registry.serves, location: prefixOf(view, registry) }));
  const hosts = [...new Set(mirrors.map(({ location }) => location.split("/")[0] ?? ""))];
  const tables = mirrors.map((mirror) => table(mirror, isSecure(view), options.fallback));
  return {
    ways: ["anonymous", "mtls", "basic"],
    login: `podman login ${hosts[0] ?? hostOf(view)}`,
    steps: [
      {
        kind: "own",
        path: "@containers@/registries.conf.d/50-registry-cache.conf",
        text: `# ${MADE_BY}\n${tables.join("")}`,
      },
      ...(isSecure(view) ? hosts.flatMap((host) => certificates(view, host)) : []),
    ],
    notes: ["CRI-O reads them after systemctl reload crio; the others at each pull."],
    tryIt: "podman pull docker.io/library/alpine:latest",
  };
}

function table(
  { serves, location }: { serves: string; location: string },
  isWithTls: boolean,
  fallback: boolean,
): string {
  const insecure = isWithTls ? [] : ["insecure = true"];
  const lines = fallback
    ? [`location = "${serves}"`, "[[registry.mirror]]", `location = "${location}"`, ...insecure]
    : [`location = "${location}"`, ...insecure];
  return ["", "[[registry]]", `prefix = "${serves}"`, ...lines, ""].join("\n");
}

function certificates(view: CacheView, host: string): Step[] {
  const folder = `@containers@/certs.d/${host}`;
  return [
    ...(view.ca === undefined ? [] : [{ kind: "own", path: `${folder}/ca.crt`, text: view.ca } as const]),
    ...(view.ways.includes("mtls")
      ? ([
          { kind: "client-cert", path: `${folder}/client.cert` },
          { kind: "client-key", path: `${folder}/client.key` },
        ] as const)
      : []),
  ];
}
