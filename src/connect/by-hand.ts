import type { Client, ConnectOptions, Setup, Snippet, Step } from "./client.ts";
import {
  alpineOf,
  chosen,
  exampleOf,
  hasClientCertificates,
  hostsIn,
  HUB,
  imageOf,
  oneByOneNotes,
  pemSteps,
  prefixed,
  unreachableNotes,
} from "./parts.ts";
import { type CacheView, hostOf, isSecure, prefixOf, type Way } from "./view.ts";

/** Builds run in pods: what they need are flags, and files that the pod mounts. */
export const kaniko: Client = {
  name: "kaniko",
  aliases: [],
  title: "kaniko",
  scope: "user",
  detect: "detect_none",
  variants: (view, options) => [{ name: "kaniko", setup: kanikoSetup(view, options) }],
};

/** Where a pod has what the working folder's `registry-cache-kaniko` has. */
const IN_POD = "/kaniko/registry-cache";
const KANIKO_FOLDER = "@here@/registry-cache-kaniko";

function kanikoSetup(view: CacheView, options: ConnectOptions): Setup {
  const mirrors = prefixed(view, options);
  const hosts = hostsIn(mirrors);
  const certificates = hasClientCertificates(view);
  const logsIn = view.ways.includes("basic") && !view.ways.includes("anonymous");
  return {
    ways: ["anonymous", "mtls", "basic"],
    steps: [...pemSteps(view, KANIKO_FOLDER), ...(logsIn ? [kanikoLogin(hosts)] : [])],
    snippets: [
      {
        title: "further arguments of the executor",
        text: [
          // Docker Hub is called by its other name in this flag.
          ...mirrors.map(
            ({ serves, location }) => `--registry-map=${serves === HUB ? "index.docker.io" : serves}=${location}`,
          ),
          ...hosts.flatMap((host) => [
            ...(isSecure(view) ? [] : [`--insecure-registry=${host}`]),
            ...(view.ca === undefined ? [] : [`--registry-certificate=${host}=${IN_POD}/ca.crt`]),
            ...(certificates
              ? [`@mtls?--registry-client-cert=${host}=${IN_POD}/client.cert,${IN_POD}/client.key`]
              : []),
          ]),
          ...(options.fallback ? [] : ["--skip-default-registry-fallback"]),
        ].join("\n"),
      },
      ...(view.ca === undefined && !certificates && !logsIn
        ? []
        : [
            {
              title: `the pod has these files at ${IN_POD}, as a secret that is mounted there${logsIn ? ", config.json also at /kaniko/.docker/config.json" : ""}`,
              text: `kubectl create secret generic registry-cache --from-file="${KANIKO_FOLDER}"`,
            },
          ]),
    ],
    notes: oneByOneNotes(view, options),
    tryIt: "/kaniko/executor --no-push --context=dir:///workspace and those arguments",
  };
}

/** As `docker login` would write it. */
function kanikoLogin(hosts: readonly string[]): Step {
  const auths = hosts.map((host) => `"${host}": { "auth": "@basic@" }`).join(", ");
  return {
    kind: "own",
    path: `${KANIKO_FOLDER}/config.json`,
    text: `@basic?{ "auths": { ${auths} } }`,
    mode: "0600",
  };
}

/** Nomad pulls by its task drivers. */
export const nomad: Client = {
  name: "nomad",
  aliases: [],
  title: "Nomad",
  scope: "host",
  detect: "detect_none",
  variants: (view, options) => [
    {
      name: "nomad",
      setup: {
        ways: ["anonymous", "basic", "mtls", "path"],
        steps: [],
        snippets: [
          {
            title: "each client's task drivers are what pulls: set those up, on every Nomad client",
            text: "registry-cache connect docker --apply       # driver docker\nregistry-cache connect podman --apply       # driver podman\nregistry-cache connect containerd --apply   # driver containerd-driver",
          },
          ...(view.ways.includes("basic") && !view.ways.includes("anonymous") ? [nomadAuth(view, options)] : []),
        ],
        notes: ["Nomad itself has no mirror setting; nothing of it is restarted."],
        tryIt: "nomad job run example.nomad.hcl",
      },
    },
  ],
};

function nomadAuth(view: CacheView, options: ConnectOptions): Snippet {
  return {
    title: `for jobs that name the cache itself (${exampleOf(view, options)}), in the client's configuration, after docker login ${hostOf(view)} as root`,
    text: 'plugin "docker" {\n  config {\n    auth {\n      config = "/root/.docker/config.json"\n    }\n  }\n}',
  };
}

const PEMS = "@here@/registry-cache-pems";

interface Tool {
  readonly name: string;
  readonly title: string;
  readonly ways: readonly Way[];
  /** Flags of each pull. */
  readonly flags: { readonly plain: string; readonly ca: string; readonly client: string };
  /** Set before the command, where there is no flag for it. */
  readonly environment?: string;
  readonly login: (host: string) => string;
  readonly pull: (flags: string, view: CacheView, options: ConnectOptions) => string;
  readonly notes: readonly string[];
  /** Where the cache wants client certificates. */
  readonly certificateNote?: string;
}

/** Tools that have no mirror setting: they pull by the cache's name. */
function byReference(tool: Tool): Client {
  return {
    name: tool.name,
    aliases: [],
    title: tool.title,
    scope: "user",
    detect: "detect_none",
    variants: (view, options) => [{ name: tool.name, setup: referenceSetup(tool, view, options) }],
  };
}

function referenceSetup(tool: Tool, view: CacheView, options: ConnectOptions): Setup {
  const { flags } = tool;
  const all = [
    ...(isSecure(view) ? whereTlsIsNotExpected(tool, view) : [flags.plain]),
    ...(view.ca === undefined || flags.ca === "" ? [] : [flags.ca]),
  ].join("");
  const environment = view.ca === undefined ? "" : (tool.environment ?? "");
  const command = (more: string) => `${environment}${tool.pull(`${all}${more}`, view, options)}`;
  const hasOwn = hasClientCertificates(view) && tool.ways.includes("mtls");
  const table = prefixed(view, options).map(({ serves, location }) => `${serves}/...   ${location}/...`);
  return {
    ways: tool.ways,
    login: tool.login(hostOf(view)),
    steps: tool.ways.includes("mtls") ? pemSteps(view, PEMS) : pemSteps({ ...view, ways: [] }, PEMS),
    snippets: [
      { title: `${tool.name} has no mirror setting: names are written anew`, text: table.join("\n") },
      ...(hasOwn
        ? [{ title: "each pull shows this client's certificate", text: command(flags.client), isForMtls: true }]
        : []),
    ],
    notes: [
      ...tool.notes,
      ...(tool.certificateNote === undefined || !hasClientCertificates(view) ? [] : [tool.certificateNote]),
      ...unreachableNotes(view, options),
    ],
    tryIt: command(hasOwn && !view.ways.includes("anonymous") && !view.ways.includes("basic") ? flags.client : ""),
  };
}

/** Some speak plain HTTP to it unless they are told not to. */
function whereTlsIsNotExpected({ flags }: Tool, { url }: CacheView): string[] {
  return flags.plain === PLAIN_HTTP && new URL(url).hostname === "localhost" ? [`${PLAIN_HTTP}=false`] : [];
}

const PLAIN_HTTP = " --plain-http";

export const crane: Client = byReference({
  name: "crane",
  title: "crane",
  ways: ["anonymous", "basic"],
  flags: { plain: " --insecure", ca: "", client: "" },
  environment: `SSL_CERT_FILE="${PEMS}/ca.crt" `,
  login: (host) => `crane auth login ${host} -u USER --password-stdin`,
  pull: (flags, view, options) => `crane${flags} pull ${alpineOf(view, options)} alpine.tar`,
  notes: [],
  certificateNote: "Client certificates are what crane cannot show: let its users come in by a password or a network.",
});

export const oras: Client = byReference({
  name: "oras",
  title: "ORAS",
  ways: ["anonymous", "mtls", "basic"],
  flags: {
    plain: PLAIN_HTTP,
    ca: ` --ca-file "${PEMS}/ca.crt"`,
    client: ` --cert-file "${PEMS}/client.cert" --key-file "${PEMS}/client.key"`,
  },
  login: (host) => `oras login ${host} -u USER --password-stdin`,
  pull: (flags, view, options) => `oras manifest fetch${flags} ${alpineOf(view, options)}`,
  notes: [
    "The same flags have --from- in front of them for oras copy; oras login needs --plain-http or --ca-file as well.",
  ],
});

export const helm: Client = byReference({
  name: "helm",
  title: "Helm",
  ways: ["anonymous", "mtls", "basic"],
  flags: {
    plain: PLAIN_HTTP,
    ca: ` --ca-file "${PEMS}/ca.crt"`,
    client: ` --cert-file "${PEMS}/client.cert" --key-file "${PEMS}/client.key"`,
  },
  login: (host) => `helm registry login ${host} -u USER --password-stdin`,
  pull: (flags, view, options) => `helm pull${flags} oci://${exampleOf(view, options, "org/charts/app")}`,
  notes: ["The flags are those of helm pull, install, upgrade and template alike."],
});

/** It has mirrors, and says in `ns` whose image it wants. */
export const regctl: Client = {
  name: "regctl",
  aliases: ["regclient", "regsync"],
  title: "regctl",
  scope: "user",
  detect: "detect_none",
  variants: (view, options) => [{ name: "regctl", setup: regctlSetup(view, options) }],
};

function regctlSetup(view: CacheView, options: ConnectOptions): Setup {
  // Without a path, since it says in `ns` whose image it wants.
  const mirrors = chosen(view, options).map((registry) => ({
    serves: registry.serves,
    location: prefixOf(view, registry).split("/")[0] ?? "",
  }));
  const hosts = hostsIn(mirrors);
  const reach = hosts.flatMap((host) => [
    ...(isSecure(view) ? [] : [`regctl registry set ${host} --skip-check --tls disabled`]),
    ...(view.ca === undefined ? [] : [`regctl registry set ${host} --skip-check --cacert "$(cat "${PEMS}/ca.crt")"`]),
  ]);
  const own = hosts.map(
    (host) =>
      `regctl registry set ${host} --skip-check --client-cert "$(cat "${PEMS}/client.cert")" --client-key "$(cat "${PEMS}/client.key")"`,
  );
  return {
    ways: ["anonymous", "mtls", "basic"],
    login: `regctl registry login ${hostOf(view)}`,
    steps: pemSteps(view, PEMS),
    snippets: [
      ...(reach.length === 0 ? [] : [{ title: "how the cache is reached", text: reach.join("\n") }]),
      ...(hasClientCertificates(view)
        ? [{ title: "and with which certificate", text: own.join("\n"), isForMtls: true }]
        : []),
      {
        title: "and for what it is asked first",
        text: mirrors
          .map(({ serves, location }) => `regctl registry set ${serves} --skip-check --mirror ${location}`)
          .join("\n"),
      },
    ],
    notes: ["A mirror is taken away again by: regctl registry set NAME --mirror ''"],
    tryIt: `regctl manifest get ${imageOf(view, options)}`,
  };
}
