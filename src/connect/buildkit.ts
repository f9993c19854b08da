import { type Client, type ConnectOptions, MADE_BY, type Setup } from "./client.ts";
import { fallbackNotes, hasClientCertificates, hostsIn, oneByOneNotes, pemSteps, prefixed } from "./parts.ts";
import { type CacheView, hostOf, isLoopback, isSecure } from "./view.ts";

/** A buildkitd of its own. The one inside Docker Engine is set up with that. */
export const buildkit: Client = {
  name: "buildkit",
  aliases: ["buildkitd", "buildctl"],
  title: "BuildKit",
  scope: "host",
  detect: "detect_none",
  variants: (view, options) => [
    {
      name: "buildkitd",
      setup: {
        ...common(view, options),
        steps: [
          ...pemSteps(view, FOLDER),
          { kind: "block", path: "@buildkit@/buildkitd.toml", text: tables(view, options) },
        ],
        restart: { verb: "restart", service: "buildkit" },
        tryIt: "buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=.",
      },
    },
  ],
};

/** A builder of `docker buildx create`: a buildkitd in a container, which gets the file and what it names when it is made. */
export const buildx: Client = {
  name: "buildx",
  aliases: ["docker-buildx"],
  title: "Docker Buildx, container driver",
  scope: "user",
  detect: "detect_none",
  variants: (view, options) => [
    {
      name: "docker-container",
      setup: {
        ...common(view, options),
        steps: [
          ...pemSteps(view, FOLDER),
          { kind: "own", path: BUILDX_FILE, text: `# ${MADE_BY}\n${tables(view, options)}` },
        ],
        snippets: [{ title: "make a builder with it, once", text: createCommand(view) }],
        tryIt: "printf 'FROM alpine\\n' | docker buildx build --builder registry-cache -",
      },
    },
  ],
};

const FOLDER = "@buildkit@/@own@";
const BUILDX_FILE = "@buildkit@/buildx-registry-cache.toml";

function createCommand(view: CacheView): string {
  // Loopback is the container's own otherwise.
  const network = isLoopback(view) ? " --driver-opt network=host" : "";
  return `docker buildx create --name registry-cache --driver docker-container${network} --buildkitd-config "${BUILDX_FILE}" --use --bootstrap`;
}

function common(view: CacheView, options: ConnectOptions): Pick<Setup, "ways" | "login" | "notes"> {
  return {
    // Passwords are the command line's affair, the daemon asks it for them.
    ways: ["anonymous", "mtls", "basic"],
    login: `docker login ${hostOf(view)}`,
    notes: [...oneByOneNotes(view, options), ...fallbackNotes(options, "BuildKit")],
  };
}

function tables(view: CacheView, options: ConnectOptions): string {
  const mirrors = prefixed(view, options);
  return [
    ...mirrors.map(({ serves, location }) => `[registry."${serves}"]\n  mirrors = ["${location}"]\n`),
    ...hostsIn(mirrors).map((host) => `[registry."${host}"]\n${howToReach(view)(host)}`),
  ].join("");
}

function howToReach(view: CacheView): (host: string) => string {
  return (host) =>
    [
      // It speaks plain HTTP on loopback unless it is told not to.
      `  http = ${String(!isSecure(view))}`,
      ...(view.ca === undefined ? [] : [`  ca = ["${FOLDER}/ca.crt"]`]),
      ...(hasClientCertificates(view)
        ? [
            `@mtls?  [[registry."${host}".keypair]]`,
            `@mtls?    key = "${FOLDER}/client.key"`,
            `@mtls?    cert = "${FOLDER}/client.cert"`,
          ]
        : []),
      "",
    ].join("\n");
}
