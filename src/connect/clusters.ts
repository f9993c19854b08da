import { type Client, type ConnectOptions, MADE_BY, type Setup } from "./client.ts";
import { mirrorOf } from "./docker.ts";
import { registriesConf } from "./containers.ts";
import { HOSTS_TOML_WAYS, hostsTomlNotes, hostsTomlSteps } from "./hosts-toml.ts";
import {
  fallbackNotes,
  hasClientCertificates,
  hostsIn,
  HUB,
  imageOf,
  loopbackRefusal,
  modeOf,
  oneByOneNotes,
  pemSteps,
  prefixed,
} from "./parts.ts";
import { type Endpoint, endpointsOf, hostsOfEndpoints } from "./rancher.ts";
import { type CacheView, isSecure } from "./view.ts";

/** Talos has no shell and no files to write: its machine configuration is patched. */
export const talos: Client = {
  name: "talos",
  aliases: ["talosctl"],
  title: "Talos Linux",
  scope: "user",
  detect: "detect_none",
  variants: (view, options) => [{ name: "talos", setup: talosSetup(view, options) }],
};

const TALOS_PATCH = "@here@/registry-cache-talos.yaml";

function talosSetup(view: CacheView, options: ConnectOptions): Setup {
  return {
    ways: ["anonymous", "mtls", "basic"],
    refusal: loopbackRefusal(view, "each node"),
    steps: [{ kind: "own", path: TALOS_PATCH, text: talosPatch(view, options), mode: secretMode(view) }],
    snippets: [
      {
        title: "give it to the nodes; they need no restart",
        text: `talosctl patch machineconfig --nodes NODE,... --patch "@${TALOS_PATCH}"`,
      },
      {
        title: "or to a cluster that is made anew",
        text: `talosctl gen config NAME URL --config-patch "@${TALOS_PATCH}"`,
      },
    ],
    notes: [
      "Registries are named one by one: write this again when the cache serves further ones.",
      "The nodes keep what they were given: --undo removes the file here, and on the nodes machine.registries has to be taken out with talosctl edit machineconfig.",
    ],
    tryIt: `talosctl --nodes NODE image pull ${imageOf(view, options)}`,
  };
}

/** A client's key is in it, in one line. */
function secretMode(view: CacheView): "0600" | "0644" {
  return hasClientCertificates(view) ? "0600" : modeOf(view);
}

function talosPatch(view: CacheView, options: ConnectOptions): string {
  const endpoints = endpointsOf(view, options);
  return `${[
    `# ${MADE_BY}`,
    "machine:",
    "  registries:",
    "    mirrors:",
    ...endpoints.flatMap((endpoint) => talosMirror(options, endpoint)),
    ...talosConfigs(view, hostsOfEndpoints(endpoints)),
  ].join("\n")}\n`;
}

function talosMirror({ fallback }: ConnectOptions, { serves, url }: Endpoint): string[] {
  return [
    `      "${serves}":`,
    "        endpoints:",
    `          - "${url}"`,
    ...(new URL(url).pathname !== "/" ? ["        overridePath: true"] : []),
    ...(fallback ? [] : ["        skipFallback: true"]),
  ];
}

function talosConfigs(view: CacheView, hosts: readonly string[]): string[] {
  const certificates = hasClientCertificates(view);
  const tls = [
    ...(view.ca === undefined ? (certificates ? ["@mtls?        tls:"] : []) : ["        tls:"]),
    ...(view.ca === undefined ? [] : [`          ca: ${Buffer.from(view.ca).toString("base64")}`]),
    ...(certificates
      ? ["@mtls?          clientIdentity:", "@mtls?            crt: @cert64@", "@mtls?            key: @key64@"]
      : []),
  ];
  const auth = view.ways.includes("basic") ? ["@basic?        auth:", '@basic?          auth: "@basic@"'] : [];
  if (tls.length === 0 && auth.length === 0) return [];
  return ["    config:", ...hosts.flatMap((host) => [`      "${host}":`, ...tls, ...auth])];
}

/** Nodes are containers, which see folders of this machine: hosts.toml lie in one of them. */
export const kind: Client = {
  name: "kind",
  aliases: [],
  title: "kind",
  scope: "user",
  detect: "detect_none",
  variants: (view, options) => [
    {
      name: "kind",
      setup: {
        ways: HOSTS_TOML_WAYS,
        refusal: loopbackRefusal(view, "each node, which is a container,"),
        steps: [
          ...hostsTomlSteps(view, options, { folder: `${KIND_FOLDER}/certs.d`, readAs: NODE_CERTS_D }),
          { kind: "own", path: `${KIND_FOLDER}/cluster.yaml`, text: KIND_CLUSTER },
        ],
        snippets: [
          { title: "make the cluster with it", text: `kind create cluster --config "${KIND_FOLDER}/cluster.yaml"` },
        ],
        notes: [
          ...hostsTomlNotes(view),
          "Give further nodes the same extraMounts. A cluster that is there already has to be made anew.",
        ],
        tryIt: `docker exec kind-control-plane crictl pull ${imageOf(view, options)}`,
      },
    },
  ],
};

const KIND_FOLDER = "@here@/registry-cache-kind";
const NODE_CERTS_D = "/etc/containerd/certs.d";
const KIND_CLUSTER = `# ${MADE_BY}
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - hostPath: "${KIND_FOLDER}/certs.d"
        containerPath: ${NODE_CERTS_D}
        readOnly: true
# Nodes of kind before 0.27 have to be told where to look.
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "${NODE_CERTS_D}"
`;

/** A machine or a container of its own, into which it copies what lies below its folder `files`. */
export const minikube: Client = {
  name: "minikube",
  aliases: [],
  title: "minikube",
  scope: "user",
  detect: "detect_none",
  variants: (view, options) => [
    { name: "docker", setup: minikubeDocker(view, options) },
    { name: "containerd", setup: minikubeContainerd(view, options) },
    { name: "cri-o", setup: minikubeCrio(view, options) },
  ],
};

const MADE_ANEW =
  "A cluster that is there already has to be made anew (minikube delete); which runtime it has, --container-runtime says (--variant here).";

function minikubeRefusal(view: CacheView): Setup["refusal"] {
  return loopbackRefusal(view, "the node, a machine of its own,");
}

function minikubeDocker(view: CacheView, options: ConnectOptions): Setup {
  const mirror = mirrorOf(view, options);
  const hosts = hostsIn(prefixed(view, options));
  const insecure = isSecure(view) ? "" : hosts.map((host) => ` --insecure-registry=${host}`).join("");
  return {
    ways: ["anonymous", "mtls", "path"],
    refusal:
      minikubeRefusal(view) ??
      (mirror === undefined
        ? {
            why: `minikube's Docker uses a mirror for ${HUB} alone, which is not what this cache is to serve here`,
            hint: "minikube start --container-runtime=containerd, and --variant containerd here",
          }
        : undefined),
    steps: isSecure(view) ? hosts.flatMap((host) => pemSteps(view, `@minikube@/etc/docker/certs.d/${host}`)) : [],
    snippets: [
      { title: "make the cluster with it", text: `minikube start --registry-mirror=${mirror ?? ""}@t@${insecure}` },
    ],
    notes: [
      `With Docker as its runtime it asks the cache for ${HUB} alone; --container-runtime=containerd does for all registries (--variant containerd).`,
      MADE_ANEW,
      ...fallbackNotes(options, "Docker"),
    ],
    tryIt: "minikube ssh docker pull alpine",
  };
}

function minikubeContainerd(view: CacheView, options: ConnectOptions): Setup {
  return {
    ways: HOSTS_TOML_WAYS,
    refusal: minikubeRefusal(view),
    // Its image has one for Docker Hub, which would go before one for all.
    steps: hostsTomlSteps(view, options, {
      folder: `@minikube@${NODE_CERTS_D}`,
      readAs: NODE_CERTS_D,
      isEach: true,
    }),
    snippets: [{ title: "make the cluster with it", text: "minikube start --container-runtime=containerd" }],
    notes: [...hostsTomlNotes(view), ...oneByOneNotes(view, options), MADE_ANEW],
    tryIt: `minikube ssh sudo crictl pull ${imageOf(view, options)}`,
  };
}

function minikubeCrio(view: CacheView, options: ConnectOptions): Setup {
  const hosts = hostsIn(prefixed(view, options));
  return {
    ways: ["anonymous", "mtls"],
    refusal: minikubeRefusal(view),
    steps: [
      {
        kind: "own",
        path: "@minikube@/etc/containers/registries.conf.d/50-registry-cache.conf",
        text: registriesConf(view, options),
      },
      ...(isSecure(view) ? hosts.flatMap((host) => pemSteps(view, `@minikube@/etc/containers/certs.d/${host}`)) : []),
    ],
    snippets: [{ title: "make the cluster with it", text: "minikube start --container-runtime=cri-o" }],
    notes: [...oneByOneNotes(view, options), MADE_ANEW],
    tryIt: `minikube ssh sudo crictl pull ${imageOf(view, options)}`,
  };
}
