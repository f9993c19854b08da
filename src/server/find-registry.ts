import type { RegistryConfig } from "../config/config.ts";
import { RegistryError } from "../oci/errors.ts";
import { parseRepositoryName, type Repository } from "../oci/reference.ts";

/** Every place in which a request can say which registry it means. */
export interface RegistryHints {
  /** The Host header. */
  readonly host: string | undefined;
  /** The path before `/v2`. */
  readonly prefix: string | undefined;
  /** The name in the URL; its first component may be a registry. */
  readonly name: readonly string[];
  /** containerd's `ns` parameters. */
  readonly ns: readonly string[];
}

export interface FoundRegistry {
  readonly registry: RegistryConfig;
  /** What is left of the name. */
  readonly name: readonly string[];
  /** Set where `ns` alone chose the registry; it is answered as `OCI-Namespace`. */
  readonly namespace: string | undefined;
  /** False where nothing in the request named a registry and the default was taken. */
  readonly isExplicit: boolean;
  /** Whether the Host header is one of the registry's own. */
  readonly isByHost: boolean;
}

/**
 * Looks registries up by whatever a client can say. All of it are keys among what is configured, never something to dial;
 * what is unknown or contradicts itself is 404, or else `docker.io/foo` could be served as `ghcr.io/foo`.
 */
export class RegistryTable {
  readonly #byHostname = new Map<string, RegistryConfig>();
  readonly #byName = new Map<string, RegistryConfig>();
  readonly #default: RegistryConfig;

  constructor(registries: readonly RegistryConfig[], defaultId: string) {
    const byId = registries.find((registry) => registry.id === defaultId);
    if (byId === undefined) throw new Error(`the default registry ${defaultId} is not among the enabled ones`);
    this.#default = byId;
    for (const registry of registries) {
      for (const hostname of registry.hostnames) this.#byHostname.set(keyOf(hostname), registry);
      for (const name of [registry.serves, ...registry.aliases]) this.#byName.set(keyOf(name), registry);
    }
  }

  find(hints: RegistryHints): FoundRegistry {
    const [first] = hints.name;
    const byHost = hints.host === undefined ? undefined : this.ofHost(hints.host);
    const byPrefix = hints.prefix === undefined ? undefined : this.#known(hints.prefix);
    const byName = first === undefined ? undefined : this.#byName.get(keyOf(first));
    const byNs = hints.ns.map((ns) => this.#known(ns));
    const said = [byHost, byPrefix, byName, ...byNs].filter((one) => one !== undefined);
    const registry = said[0] ?? this.#default;
    if (said.some((one) => one !== registry)) throw contradiction();
    if (said.length === 0) assertNotForeign(hints.name);
    const chosenByNs = byNs.length > 0 && byHost === undefined && byPrefix === undefined && byName === undefined;
    return {
      registry,
      name: byName === undefined ? hints.name : hints.name.slice(1),
      namespace: chosenByNs ? hints.ns[0] : undefined,
      isExplicit: said.length > 0,
      isByHost: byHost !== undefined,
    };
  }

  /** The registry that such a Host header chooses. A configured name may have a port; one without is good for every port. */
  ofHost(host: string): RegistryConfig | undefined {
    const key = keyOf(host);
    return this.#byHostname.get(key) ?? this.#byHostname.get(withoutPort(key));
  }

  #known(name: string): RegistryConfig {
    const registry = this.#byName.get(keyOf(name));
    if (registry === undefined) throw unknown(name);
    return registry;
  }
}

/** The repository that is meant, with Docker Hub's silent `library/` said out loud. */
export function repositoryOf({ registry, name }: FoundRegistry): Repository {
  const full = registry.libraryPrefix && name.length === 1 ? `library/${name[0]}` : name.join("/");
  const parsed = parseRepositoryName(full);
  if (parsed === undefined)
    throw new RegistryError(
      400,
      "NAME_INVALID",
      "the repository name is malformed or too long; names have small letters, digits and . _ - /",
    );
  return { registryId: registry.id, serves: registry.serves, name: parsed };
}

/** `quay.io/x/y` must not become the repository `quay.io/x/y` of Docker Hub where quay.io is switched off. */
function assertNotForeign(name: readonly string[]): void {
  const [first] = name;
  if (name.length < 2 || first === undefined) return;
  if (first.includes(".") || first.includes(":") || first === "localhost") throw unknown(first);
}

function unknown(name: string): RegistryError {
  const shown = name.slice(0, NAME_SHOWN_MAX);
  return new RegistryError(404, "NAME_UNKNOWN", `the registry ${JSON.stringify(shown)} is not configured here`);
}

const NAME_SHOWN_MAX = 100;

function contradiction(): RegistryError {
  return new RegistryError(404, "NAME_UNKNOWN", "host, path and ns name different registries");
}

/** `cache.example.com:5000` -> `cache.example.com`; `[::1]:5000` -> `[::1]`. */
function withoutPort(host: string): string {
  return host.replace(/:\d*$/, "").replace(/\.$/, "");
}

/** Only ASCII letters lose their case: U+212A, a Kelvin sign, would else become the k of docker.io. */
function keyOf(name: string): string {
  return !/[A-Z]/.test(name) ? name : name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
