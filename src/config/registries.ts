import { BUILT_IN_REGISTRIES, type BuiltInRegistry } from "./built-in.ts";
import type { Credentials, RegistryConfig, TagRule } from "./config.ts";
import type { RegistryInput } from "./schema.ts";

/** A registry with what the user says about it. */
export interface RegistryDraft {
  readonly id: string;
  readonly builtIn: BuiltInRegistry | undefined;
  readonly input: RegistryInput;
  readonly isEnabled: boolean;
  /** Undefined where a registry of the user's lacks it, which is a problem of its own. */
  readonly serves: string | undefined;
  readonly upstream: string | undefined;
}

/** Built-in ones first, then the user's in the order of the file. */
export function draftRegistries(inputs: ReadonlyMap<string, RegistryInput>): RegistryDraft[] {
  const builtIn = BUILT_IN_REGISTRIES.map((one) => draft(one.id, one, inputs.get(one.id) ?? {}));
  const known = new Set(BUILT_IN_REGISTRIES.map(({ id }) => id));
  const own = [...inputs].filter(([id]) => !known.has(id)).map(([id, input]) => draft(id, undefined, input));
  return [...builtIn, ...own];
}

function draft(id: string, builtIn: BuiltInRegistry | undefined, input: RegistryInput): RegistryDraft {
  return {
    id,
    builtIn,
    input,
    isEnabled: input.enabled ?? true,
    serves: input.serves ?? builtIn?.serves,
    upstream: input.upstream ?? builtIn?.upstream,
  };
}

/** The names by which a registry is looked up besides `serves`, without those that lead elsewhere. */
export function aliasesOf(one: RegistryDraft, all: readonly RegistryDraft[]): string[] {
  const aliases = [...(one.builtIn?.aliases ?? [])];
  const host = hostOf(one);
  const others = all.filter((other) => other !== one);
  // ghcr.io is what ghcr serves, so lscr must not answer to it although it asks there. Switched off or not: who switches
  // ghcr off does not want its images by another way. Where several registries ask at one host it names none of them.
  const isTaken = others.some(
    (other) => other.serves === host || other.builtIn?.aliases.includes(host ?? "") || hostOf(other) === host,
  );
  if (host !== undefined && host !== one.serves && !isTaken) aliases.push(host);
  return [...new Set(aliases)];
}

function hostOf({ upstream }: RegistryDraft): string | undefined {
  return upstream === undefined ? undefined : new URL(upstream).host;
}

const DEFAULT_TAG_RULE: TagRule = { match: "*", revalidate: { kind: "after", ms: 60_000 } };

const DEFAULTS = {
  questionsMax: 16,
  transfersMax: 16,
  connectMs: 5_000,
  headersMs: 30_000,
  idleMs: 60_000,
  askBudgetMs: 3_000,
  quotaReserveShare: 0.1,
} as const;

/** What was read outside the file's own text. */
export interface ReadFromElsewhere {
  readonly credentials: Credentials | undefined;
  readonly ca: string | undefined;
}

/** Undefined where serves or upstream are missing. */
export function registryConfig(
  one: RegistryDraft,
  all: readonly RegistryDraft[],
  { credentials, ca }: ReadFromElsewhere,
): RegistryConfig | undefined {
  const { id, builtIn, input, serves, upstream } = one;
  if (serves === undefined || upstream === undefined) return undefined;
  return {
    id,
    serves,
    upstream,
    aliases: aliasesOf(one, all),
    hostnames: [...new Set(input.hostnames ?? [])],
    anonymous: input.anonymous,
    libraryPrefix: builtIn?.libraryPrefix ?? false,
    credentials,
    sharedRepositories: input.private_content === "shared" ? (input.shared ?? []) : [],
    passThrough: input.private_content === "pass_through",
    tags: tagRules(input),
    whenDeleted: input.when_deleted ?? "serve",
    realms: [...new Set(input.realms ?? builtIn?.realms ?? [])],
    allowPrivateAddresses: input.allow_private_addresses ?? false,
    upstreamIsOwn: input.upstream !== undefined,
    ca,
    questionsMax: input.questions_max ?? DEFAULTS.questionsMax,
    transfersMax: input.transfers_max ?? DEFAULTS.transfersMax,
    requestsPerSecond: input.requests_per_second,
    bytesPerSecond: input.max_bandwidth,
    maxSizeBytes: input.max_size,
    quotaReserveShare: input.quota_reserve ?? DEFAULTS.quotaReserveShare,
    timeouts: {
      connectMs: input.connect_timeout ?? DEFAULTS.connectMs,
      headersMs: input.headers_timeout ?? DEFAULTS.headersMs,
      idleMs: input.idle_timeout ?? DEFAULTS.idleMs,
      askBudgetMs: input.ask_budget ?? DEFAULTS.askBudgetMs,
    },
  };
}

function tagRules({ tags = [] }: RegistryInput): TagRule[] {
  const rules = tags.map(({ match, revalidate_after: revalidate }) => ({ match, revalidate }));
  return rules.at(-1)?.match === DEFAULT_TAG_RULE.match ? rules : [...rules, DEFAULT_TAG_RULE];
}
