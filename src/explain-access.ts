import { SECRET_PATHS_SERVE } from "./access/access.ts";
import { accessAtAddresses } from "./access/at-addresses.ts";
import { HTPASSWD_BYTES_MAX, parseHtpasswd } from "./access/htpasswd.ts";
import { accessThere } from "./access/methods.ts";
import { ANONYMOUS } from "./access/principal.ts";
import { Rules, twinsOf } from "./access/rules.ts";
import type { AccessConfig, Config, Listen, RegistryConfig } from "./config/config.ts";
import { compileNameGlob } from "./lib/glob.ts";
import { readAtMost } from "./lib/read-at-most.ts";
import { formatDuration } from "./lib/units.ts";
import { RegistryError } from "./oci/errors.ts";
import { parseReference } from "./oci/reference.ts";
import { RegistryTable, repositoryOf } from "./server/find-registry.ts";

/** Whether somebody may pull an image, in a sentence. */
export interface Explanation {
  readonly isAllowed: boolean;
  readonly text: string;
}

/** The users with a password that counts; none where the file cannot be read. */
export async function usersOf({ access: { htpasswd } }: Config): Promise<ReadonlySet<string>> {
  const bytes =
    htpasswd === undefined ? undefined : await readAtMost(htpasswd, HTPASSWD_BYTES_MAX).catch(() => undefined);
  return new Set(bytes === undefined ? [] : parseHtpasswd(bytes.toString("utf8")).users.keys());
}

/** Whether somebody here may be called so. */
export function isSomebody({ access }: Config, users: ReadonlySet<string>, who: string): boolean {
  return who === ANONYMOUS.name || isNamedBy(access, users, who);
}

/**
 * Who is let in at all, and what `access.rules` say of a pull: `image` is a reference as clients write it (`ghcr.io/org/app:1`,
 * `nginx`). Where nobody is called so, by the rules alone. Throws a `RegistryError` for what is no image, or of no registry here.
 */
export function explainAccess(config: Config, users: ReadonlySet<string>, who: string, image: string): Explanation {
  const { name, reference } = split(image);
  const table = new RegistryTable(config.registries, config.defaultRegistry);
  const found = table.find({ host: undefined, prefix: undefined, name: name.split("/"), ns: [] });
  const repository = repositoryOf(found);
  const parsed = parseReference(reference);
  if (typeof parsed === "string") throw new RegistryError(400, "NAME_INVALID", `${JSON.stringify(image)} is no image`);
  const wanted = { registryId: repository.registryId, repository: repository.name };
  const rules = new Rules(config.access.rules);
  const tags = parsed.kind === "tag" ? [parsed.tag] : [];
  const { isAllowed, rule, minAgeMs } = rules.verdictWithTwins(
    who,
    { ...wanted, tags },
    twinsOf(config.registries, wanted.registryId),
  );
  const what = `${repository.serves}/${repository.name}${parsed.kind === "tag" ? `:${reference}` : `@${reference}`}`;
  const entry = entryOf(config, users, who, wanted.registryId);
  if (entry.closed !== undefined) return { isAllowed: false, text: `${who} may not pull ${what}: ${entry.closed}` };
  const because =
    rule === undefined
      ? "no rule is about that"
      : `rule ${rule} of access.rules ${isAllowed ? "allows" : "forbids"} it`;
  const age = minAgeMs === 0 ? "" : `, once it has been known here for ${formatDuration(minAgeMs)}`;
  const hidden =
    parsed.kind === "digest" && rules.askForTags(wanted) ? "; a running cache also asks which tags lead to it" : "";
  const where = isAllowed ? entry.where : "";
  return { isAllowed, text: `${who} ${isAllowed ? "may" : "may not"} pull ${what}: ${because}${age}${hidden}${where}` };
}

/** Where somebody comes in: why nowhere, or what is to be said of it. */
type Entry = { readonly closed: string } | { readonly closed?: undefined; readonly where: string };

function entryOf(config: Config, users: ReadonlySet<string>, who: string, registryId: string): Entry {
  const { access, listen, registries } = config;
  if (!isSomebody(config, users, who)) return { where: "" };
  const registry = registries.find(({ id }) => id === registryId);
  const isIn = who === ANONYMOUS.name ? namelessIn(config, registry) : namedIn(access, users, who, registry);
  const [here, elsewhere] = [listen.filter(isIn), listen.filter((address, index) => !isIn(address, index))];
  const why = who === ANONYMOUS.name ? "it is asked for a name first" : "the way it says who it is does not count";
  if (here.length > 0) {
    return { where: elsewhere.length === 0 ? "" : `; at ${addressesText(here)} alone, elsewhere ${why}` };
  }
  if (who === ANONYMOUS.name) return { closed: why };
  const isKnown = listen.some(namedIn(access, users, who, undefined));
  return {
    closed: isKnown ? "a secret path is for images of Docker Hub alone" : `${why} at any address in \`listen\``,
  };
}

type IsIn = (address: Listen, index: number) => boolean;

function namelessIn({ access, listen, registries }: Config, registry: RegistryConfig | undefined): IsIn {
  const nobody = { isUser: () => false, passwords: undefined, tokens: undefined };
  const accesses = accessAtAddresses(listen, { config: access, registries, ...nobody });
  return (_, index) => accesses[index]?.isOpenToAll(registry) === true;
}

/** Without a registry: to any of them. */
function namedIn(
  access: AccessConfig,
  users: ReadonlySet<string>,
  who: string,
  registry: RegistryConfig | undefined,
): IsIn {
  return (address) => {
    const { config } = accessThere(access, address);
    const paths = registry === undefined || registry.serves === SECRET_PATHS_SERVE ? config.paths : [];
    return isNamedBy({ ...config, paths }, users, who);
  };
}

function isNamedBy({ htpasswd, paths, mtls }: AccessConfig, users: ReadonlySet<string>, who: string): boolean {
  if (htpasswd !== undefined && users.has(who)) return true;
  return paths.some(({ name }) => name === who) || mtls?.names.some((glob) => compileNameGlob(glob)(who)) === true;
}

function addressesText(addresses: readonly Listen[]): string {
  return addresses.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(", ");
}

/** `latest` where neither tag nor digest is said, as every client has it. */
function split(image: string): { readonly name: string; readonly reference: string } {
  const at = image.indexOf("@");
  if (at !== -1) return { name: image.slice(0, at).replace(/:[^:/]*$/, ""), reference: image.slice(at + 1) };
  const [, name = image, tag = "latest"] = /^(.*[^/]):([^:/]+)$/.exec(image) ?? [];
  return { name, reference: tag };
}
