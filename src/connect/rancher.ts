import { type Client, type ConnectOptions, MADE_BY, type Setup } from "./client.ts";
import { chosen, hasClientCertificates, imageOf, modeOf, pemSteps } from "./parts.ts";
import { type CacheView, isSecure, prefixOf } from "./view.ts";

/** K3s and RKE2, whose containerd is set up by a file that they read at their start. */
export const k3s: Client = {
  name: "k3s",
  aliases: ["rke2", "rancher"],
  title: "K3s and RKE2",
  scope: "host",
  detect: "detect_rancher",
  variants: (view, options) => [
    { name: "k3s", setup: setup(view, options, K3S) },
    { name: "rke2", setup: setup(view, options, RKE2) },
  ],
};

interface Distribution {
  readonly folder: string;
  /** On servers, and on agents. */
  readonly services: readonly [string, string];
  readonly crictl: string;
}

const K3S: Distribution = { folder: "@rancher@/k3s", services: ["k3s", "k3s-agent"], crictl: "k3s crictl" };
const RKE2: Distribution = {
  folder: "@rancher@/rke2",
  services: ["rke2-server", "rke2-agent"],
  crictl: "/var/lib/rancher/rke2/bin/crictl --runtime-endpoint unix:///run/k3s/containerd/containerd.sock",
};

function setup(view: CacheView, options: ConnectOptions, { folder, services, crictl }: Distribution): Setup {
  const own = `${folder}/@own@`;
  return {
    ways: ["anonymous", "mtls", "basic"],
    steps: [
      {
        kind: "sh",
        line: "merge_hint='merge it by hand with what --print shows, or --replace puts it away and --undo brings it back'",
      },
      ...pemSteps(view, own),
      { kind: "own", path: `${folder}/registries.yaml`, text: registriesYaml(view, options, own), mode: modeOf(view) },
      { kind: "sh", line: `rancher_service ${services.join(" ")}` },
    ],
    notes: [
      "Every node needs it, servers and agents.",
      "Registries are named one by one: write this again when the cache serves further ones.",
      ...(options.fallback
        ? []
        : [
            "To ask nobody else, nodes want `disable-default-registry-endpoint: true` in config.yaml beside it (2024 and later).",
          ]),
    ],
    tryIt: `${crictl} pull ${imageOf(view, options)}`,
  };
}

function registriesYaml(view: CacheView, options: ConnectOptions, own: string): string {
  const endpoints = endpointsOf(view, options);
  const lines = [`# ${MADE_BY}`, "mirrors:"];
  for (const { serves, url } of endpoints) lines.push(`  "${serves}":`, "    endpoint:", `      - "${url}"`);
  lines.push(...configs(view, hostsOfEndpoints(endpoints), own));
  return `${lines.join("\n")}\n`;
}

/** A registry, and the address of a mirror that K3s and Talos write into a hosts.toml of theirs. */
export interface Endpoint {
  readonly serves: string;
  readonly url: string;
}

/**
 * A path that is not `/v2` is taken as it stands, so that it has to have that itself. Where the registry's name cannot be a path
 * there is none: they say in `ns` whose image they want, too.
 */
export function endpointsOf(view: CacheView, options: ConnectOptions): readonly Endpoint[] {
  const scheme = isSecure(view) ? "https" : "http";
  return chosen(view, options).map((registry) => {
    const [host = "", path] = prefixOf(view, registry).split("/");
    const hasPath = path !== undefined && !path.includes(":");
    return { serves: registry.serves, url: `${scheme}://${host}${hasPath ? `/v2/${path}` : ""}` };
  });
}

export function hostsOfEndpoints(endpoints: readonly Endpoint[]): readonly string[] {
  return [...new Set(endpoints.map(({ url }) => new URL(url).host))];
}

function configs(view: CacheView, hosts: readonly string[], own: string): string[] {
  const certificates = hasClientCertificates(view);
  const auth = view.ways.includes("basic") ? ["@basic?    auth:", '@basic?      auth: "@basic@"'] : [];
  // Without a line of its own a key of nothing would be left.
  const tls = [
    ...(view.ca === undefined
      ? certificates
        ? ["@mtls?    tls:"]
        : []
      : ["    tls:", `      ca_file: "${own}/ca.crt"`]),
    ...(certificates
      ? [`@mtls?      cert_file: "${own}/client.cert"`, `@mtls?      key_file: "${own}/client.key"`]
      : []),
  ];
  if (auth.length === 0 && tls.length === 0) return [];
  return ["configs:", ...hosts.flatMap((host) => [`  "${host}":`, ...auth, ...tls])];
}
