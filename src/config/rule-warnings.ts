import { compileNameGlob, compileRepositoryGlob, compileTagGlob } from "../lib/glob.ts";
import { shown } from "../lib/units.ts";
import type { AccessRule } from "./config.ts";

/** Those who can pull, as far as they have names that are known before they come. */
export interface KnownNames {
  /** Of users and secret paths. */
  readonly names: readonly string[];
  /** False where others may come: certificates have any names. */
  readonly areAll: boolean;
}

/** What works and cannot be meant: rules for nobody, and rules that an earlier one leaves nothing to. */
export function ruleWarnings(rules: readonly AccessRule[], known: KnownNames): string[] {
  return rules.flatMap((rule, index) => {
    const earlier = rules.findIndex((one, at) => at < index && covers(one, rule));
    if (earlier !== -1) {
      return [`rule ${index + 1} of access.rules never decides: rule ${earlier + 1} fits whatever it fits`];
    }
    if (!known.areAll || isForSomebody(rule.who, known.names)) return [];
    const who = "no user, no secret path, nor `anonymous`";
    return [`rule ${index + 1} of access.rules is for nobody: ${shown(rule.who)} is the name of ${who}`];
  });
}

function isForSomebody(who: string, names: readonly string[]): boolean {
  const matches = compileNameGlob(who);
  return matches("anonymous") || names.some(matches);
}

/** Whether the earlier rule fits whatever the later one does, as far as that can be told of two globs. */
function covers(earlier: AccessRule, later: AccessRule): boolean {
  return (
    isWider(earlier.who, later.who, compileNameGlob) &&
    (earlier.registry === undefined || earlier.registry === later.registry) &&
    isWider(earlier.repository, later.repository, compileRepositoryGlob) &&
    coversTag(earlier, later)
  );
}

/** A digest that no tag leads to is held up by a rule about tags, and let through by none: there the earlier one may let it pass. */
function coversTag(earlier: AccessRule, later: AccessRule): boolean {
  if (isAll(earlier.tag)) return true;
  if (isAll(later.tag) || (!isRestriction(earlier) && isRestriction(later))) return false;
  return isWider(earlier.tag, later.tag, compileTagGlob);
}

function isRestriction({ allow, minAgeMs }: AccessRule): boolean {
  return !allow || minAgeMs > 0;
}

function isWider(glob: string, other: string, compile: (pattern: string) => (text: string) => boolean): boolean {
  return isAll(glob) || glob === other || (isPlain(other) && compile(glob)(other));
}

function isAll(glob: string): boolean {
  return glob === "*";
}

/** Whether a glob is one text and no other. */
function isPlain(glob: string): boolean {
  return !/[*?[\]{}()!+@|\\]/.test(glob);
}
