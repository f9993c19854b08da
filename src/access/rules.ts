import type { AccessRule } from "../config/config.ts";
import { compileNameGlob, compileRepositoryGlob, compileTagGlob } from "../lib/glob.ts";

/** The ids of other registries in front of the very same upstream: lscr.io is ghcr.io under another name. */
export function twinsOf(
  registries: readonly { readonly id: string; readonly upstream: string }[],
  id: string,
): string[] {
  const upstream = registries.find((one) => one.id === id)?.upstream;
  return registries.filter((one) => one.id !== id && one.upstream === upstream).map((one) => one.id);
}

/** What is asked for. */
export interface Wanted {
  readonly registryId: string;
  /** Without its registry: `library/nginx`. */
  readonly repository: string;
  /**
   * The tag, or those that are known to lead to the digest. None: nobody knows of any, so that a rule about tags which allows
   * something at once does not apply, and one that forbids something, or wants it to be older, does.
   */
  readonly tags: readonly string[];
}

export interface Verdict {
  readonly isAllowed: boolean;
  /** The rule that decided, counted from 1; undefined: none matched, and whoever is in may pull. */
  readonly rule: number | undefined;
  /** What is allowed must have been seen here so long ago, milliseconds. */
  readonly minAgeMs: number;
}

const ALLOWED: Verdict = { isAllowed: true, rule: undefined, minAgeMs: 0 };

interface Compiled {
  readonly who: (name: string) => boolean;
  readonly registryId: string | undefined;
  readonly repository: (name: string) => boolean;
  /** Undefined: whatever the tag. */
  readonly tag: ((tag: string) => boolean) | undefined;
  readonly isAllowed: boolean;
  readonly minAgeMs: number;
}

/** The rules of `access.rules`: the first one that matches decides. */
export class Rules {
  readonly #rules: readonly Compiled[];

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules.map(({ who, registry, repository, tag, allow, minAgeMs }) => ({
      who: compileNameGlob(who),
      registryId: registry,
      repository: compileRepositoryGlob(repository),
      tag: tag === "*" ? undefined : compileTagGlob(tag),
      isAllowed: allow,
      minAgeMs,
    }));
  }

  /** Whether it matters which tags lead to a digest of this repository. */
  askForTags({ registryId, repository }: Omit<Wanted, "tags">): boolean {
    return this.#rules.some((rule) => rule.tag !== undefined && isAbout(rule, registryId, repository));
  }

  /** The rule that forbids all of a repository, counted from 1, whatever the tag; undefined: some of it may be allowed. */
  forbids(who: string, { registryId, repository }: Omit<Wanted, "tags">): number | undefined {
    const index = this.#rules.findIndex(
      (rule) => rule.who(who) && isAbout(rule, registryId, repository) && (rule.isAllowed || rule.tag === undefined),
    );
    const rule = this.#rules[index];
    return rule === undefined || rule.isAllowed ? undefined : index + 1;
  }

  /** A digest may be pulled where one of the tags that lead to it may be, and as early as the first of them. */
  verdict(who: string, wanted: Wanted): Verdict {
    if (this.#rules.length === 0) return ALLOWED;
    const [tag, ...others] = wanted.tags;
    let verdict = this.#of(who, wanted, tag);
    for (const other of others) {
      if (verdict.isAllowed && verdict.minAgeMs === 0) return verdict;
      const next = this.#of(who, wanted, other);
      if (!verdict.isAllowed || (next.isAllowed && next.minAgeMs < verdict.minAgeMs)) verdict = next;
    }
    return verdict;
  }

  /**
   * The same for a registry whose upstream other registries lead to as well (`twins`, by id): a rule that names one of those and
   * forbids what is asked for, or wants it to be older, is not got around by the other name.
   */
  verdictWithTwins(who: string, wanted: Wanted, twins: readonly string[]): Verdict {
    let strictest = this.verdict(who, wanted);
    for (const registryId of strictest.isAllowed ? twins : []) {
      const verdict = this.verdict(who, { ...wanted, registryId });
      const decided = verdict.rule === undefined ? undefined : this.#rules[verdict.rule - 1];
      if (decided?.registryId !== registryId) continue;
      if (!verdict.isAllowed) return verdict;
      if (verdict.minAgeMs > strictest.minAgeMs) strictest = verdict;
    }
    return strictest;
  }

  #of(who: string, { registryId, repository }: Wanted, tag: string | undefined): Verdict {
    const index = this.#rules.findIndex(
      (rule) => rule.who(who) && isAbout(rule, registryId, repository) && matchesTag(rule, tag),
    );
    const rule = this.#rules[index];
    return rule === undefined ? ALLOWED : { isAllowed: rule.isAllowed, rule: index + 1, minAgeMs: rule.minAgeMs };
  }
}

function isAbout(rule: Compiled, registryId: string, repository: string): boolean {
  return (rule.registryId === undefined || rule.registryId === registryId) && rule.repository(repository);
}

function matchesTag(rule: Compiled, tag: string | undefined): boolean {
  if (rule.tag === undefined) return true;
  return tag === undefined ? isRestriction(rule) : rule.tag(tag);
}

/** What is not known to be outside of such a rule is inside. */
function isRestriction({ isAllowed, minAgeMs }: Compiled): boolean {
  return !isAllowed || minAgeMs > 0;
}
