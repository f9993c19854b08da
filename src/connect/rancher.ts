import { type Client, type ConnectOptions, MADE_BY, type Setup } from "./client.ts";
import { hasClientCertificates, hostsIn, modeOf, ONE_BY_ONE, pemSteps, type Prefixed, prefixed } from "./parts.ts";
import { type CacheView, isSecure } from "./view.ts";

/** K3s and RKE2, whose containerd is set up by a file that they read at their start. */
export const k3s: Client = {
  name: "k3s",
  aliases: ["rke2", "rancher"],
  title: "K3s and RKE2",
  scope: "host",
  detect: "detect_rancher",
  variants: (view, options) => [
    { name: "k3s", setup: setup(view, options, { folder: "@rancher@/k3s", services: ["k3s", "k3s-agent"] }) },
    { name: "rke2", setup: setup(view, options, { folder: "@rancher@/rke2", services: ["rke2-server", "rke2-agent"] }) },
  ],
};

interface Distribution {
  readonly folder: string;
  /** On servers, and on agents. */
  readonly services: readonly [string, string];
}

function setup(view: CacheView, options: ConnectOptions, { folder, services }: Distribution): Setup {
  const own = `${folder}/@own@`;
  return {
    ways: ["anonymous", "mtls", "basic"],
    steps: [
      { kind: "sh", line: "merge_hint='merge it by hand with what --print shows, or --replace puts it away and --undo brings it back'" },
      ...pemSteps(view, own),
      { kind: "own", path: `${folder}/registries.yaml`, text: registriesYaml(view, options, own), mode: modeOf(view) },
      { kind: "sh", line: `rancher_service ${services.join(" ")}` },
    ],
    notes: [
      "Every node needs it, servers and agents.",
      ONE_BY_ONE,
      ...(options.fallback
        ? []
        : ["To ask nobody else, nodes want `disable-default-registry-endpoint: true` in config.yaml beside it (2024 and later)."]),
    ],
    tryIt: "k3s crictl pull docker.io/library/alpine:latest",
  };
}

function registriesYaml(view: CacheView, options: ConnectOptions, own: string): string {
  const mirrors = prefixed(view, options);
  const lines = [`# ${MADE_BY}`, "mirrors:"];
  for (const { serves, location } of mirrors) {
    lines.push(`  "${serves}":`, "    endpoint:", `      - "${endpointOf(view, location)}"`);
  }
  lines.push(...configs(view, mirrors, own));
  return `${lines.join("\n")}\n`;
}

/** A path that is not `/v2` is taken as it stands, so that it has to have that itself. */
export function endpointOf(view: CacheView, location: string): string {
  const [host = "", ...path] = location.split("/");
  return `${isSecure(view) ? "https" : "http"}://${[host, ...(path.length === 0 ? [] : ["v2", ...path])].join("/")}`;
}

function configs(view: CacheView, mirrors: readonly Prefixed[], own: string): string[] {
  const certificates = hasClientCertificates(view);
  const auth = view.ways.includes("basic") ? ["@basic?    auth:", '@basic?      auth: "@basic@"'] : [];
  // Without a line of its own a key of nothing would be left.
  const tls = [
    ...(view.ca === undefined ? (certificates ? ["@mtls?    tls:"] : []) : ["    tls:", `      ca_file: "${own}/ca.crt"`]),
    ...(certificates
      ? [`@mtls?      cert_file: "${own}/client.cert"`, `@mtls?      key_file: "${own}/client.key"`]
      : []),
  ];
  if (auth.length === 0 && tls.length === 0) return [];
  return ["configs:", ...hostsIn(mirrors).flatMap((host) => [`  "${host}":`, ...auth, ...tls])];
}
