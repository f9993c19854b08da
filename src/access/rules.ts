import type { AccessRule } from "../config/config.ts";
import { compileNameGlob, compileRepositoryGlob, compileTagGlob } from "../lib/glob.ts";

/** What is asked for. */
export interface Wanted {
  readonly registryId: string;
  /** Without its registry: `library/nginx`. */
  readonly repository: string;
  /**
   * The tag, or those that are known to lead to the digest. None: nobody knows of any, so that a rule about tags which allows
   * something does not apply, and one that forbids something does.
   */
  readonly tags: readonly string[];
}

export interface Verdict {
  readonly isAllowed: boolean;
  /** The rule that decided, counted from 1; undefined: none matched, and whoever is in may pull. */
  readonly rule: number | undefined;
}

interface Compiled {
  readonly who: (name: string) => boolean;
  readonly registryId: string | undefined;
  readonly repository: (name: string) => boolean;
  /** Undefined: whatever the tag. */
  readonly tag: ((tag: string) => boolean) | undefined;
  readonly isAllowed: boolean;
}

/** The rules of `access.rules`: the first one that matches decides. */
export class Rules {
  readonly #rules: readonly Compiled[];

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules.map(({ who, registry, repository, tag, allow }) => ({
      who: compileNameGlob(who),
      registryId: registry,
      repository: compileRepositoryGlob(repository),
      tag: tag === "*" ? undefined : compileTagGlob(tag),
      isAllowed: allow,
    }));
  }

  /** Whether it matters which tags lead to a digest of this repository. */
  askForTags({ registryId, repository }: Omit<Wanted, "tags">): boolean {
    return this.#rules.some((rule) => rule.tag !== undefined && isAbout(rule, registryId, repository));
  }

  /** A digest may be pulled where one of the tags that lead to it may be. */
  verdict(who: string, wanted: Wanted): Verdict {
    if (this.#rules.length === 0) return { isAllowed: true, rule: undefined };
    const [tag, ...others] = wanted.tags;
    let verdict = this.#of(who, wanted, tag);
    for (const other of others) {
      if (verdict.isAllowed) return verdict;
      verdict = this.#of(who, wanted, other);
    }
    return verdict;
  }

  /**
   * The same for a registry whose upstream other registries lead to as well (`twins`, by id): a rule that names one of those and
   * forbids what is asked for is not got around by the other name.
   */
  verdictWithTwins(who: string, wanted: Wanted, twins: readonly string[]): Verdict {
    const own = this.verdict(who, wanted);
    if (!own.isAllowed) return own;
    for (const registryId of twins) {
      const verdict = this.verdict(who, { ...wanted, registryId });
      const decided = verdict.rule === undefined ? undefined : this.#rules[verdict.rule - 1];
      if (!verdict.isAllowed && decided?.registryId === registryId) return verdict;
    }
    return own;
  }

  #of(who: string, { registryId, repository }: Wanted, tag: string | undefined): Verdict {
    const index = this.#rules.findIndex(
      (rule) => rule.who(who) && isAbout(rule, registryId, repository) && matchesTag(rule, tag),
    );
    const rule = this.#rules[index];
    return rule === undefined ? { isAllowed: true, rule: undefined } : { isAllowed: rule.isAllowed, rule: index + 1 };
  }
}

function isAbout(rule: Compiled, registryId: string, repository: string): boolean {
  return (rule.registryId === undefined || rule.registryId === registryId) && rule.repository(repository);
}

function matchesTag(rule: Compiled, tag: string | undefined): boolean {
  if (rule.tag === undefined) return true;
  return tag === undefined ? !rule.isAllowed : rule.tag(tag);
}
