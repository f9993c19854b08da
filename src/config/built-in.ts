/** A registry that is known without a line of configuration. */
export interface BuiltInRegistry {
  readonly id: string;
  readonly serves: string;
  readonly upstream: string;
  readonly aliases: readonly string[];
  /** Hosts whose token service may be asked, besides the upstream's own. */
  readonly realms: readonly string[];
  readonly libraryPrefix: boolean;
}

/** In the order in which they are shown. */
export const BUILT_IN_REGISTRIES: readonly BuiltInRegistry[] = [
  {
    id: "dockerhub",
    serves: "docker.io",
    upstream: "https://registry-1.docker.io",
    aliases: ["index.docker.io", "registry-1.docker.io"],
    realms: ["auth.docker.io"],
    libraryPrefix: true,
  },
  builtIn("ghcr", "ghcr.io"),
  builtIn("quay", "quay.io"),
  builtIn("gcr", "gcr.io"),
  // Every answer of registry.k8s.io is a redirect to an Artifact Registry near the client, which may challenge itself.
  builtIn("k8s", "registry.k8s.io", { realms: ["*.pkg.dev"] }),
  builtIn("gitlab", "registry.gitlab.com", { realms: ["gitlab.com"] }),
  builtIn("ecr", "public.ecr.aws"),
  // lscr.io is a counting redirector to the same paths at ghcr.io, whose tokens it also uses. Asked directly there is one
  // hop less, and transfers, tokens and limits are shared with ghcr.
  builtIn("lscr", "lscr.io", { upstream: "https://ghcr.io", realms: ["ghcr.io"] }),
  builtIn("codeberg", "codeberg.org"),
];

function builtIn(id: string, serves: string, more: Partial<BuiltInRegistry> = {}): BuiltInRegistry {
  return { id, serves, upstream: `https://${serves}`, aliases: [], realms: [], libraryPrefix: false, ...more };
}
