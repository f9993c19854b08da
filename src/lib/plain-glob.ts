import { ValueError } from "./value-error.ts";

/** Alternatives that braces may spell out. */
const ALTERNATIVES_MAX = 64;
const STAR = "*";

/** What one character is compared with; a star stands for any number of them. */
type Part = typeof STAR | ((character: string) => boolean);
/** Undefined: any number of components. */
type Component = readonly Part[] | undefined;

/**
 * Compiles a glob of whoever asks: stars, `?`, brackets and braces, with the meaning that they have elsewhere, compared in a time that no
 * pattern can make long. An expression would try all the ways in which its stars can be stretched.
 *
 * @throws ValueError
 */
export function compilePlainGlob(pattern: string): (text: string) => boolean {
  if (/[()|\\]/.test(pattern)) throw new ValueError("has more than stars, ?, brackets and braces", 'such as "v[0-9]*"');
  const all = alternativesOf(pattern).map((one) => one.split("/").map(componentOf));
  return (text) => {
    const components = text.split("/");
    return all.some((wanted) => fits(wanted, components, isAnything, fitsComponent));
  };
}

function alternativesOf(pattern: string): string[] {
  const done: string[] = [];
  let open = [pattern];
  while (open.length > 0) {
    const next: string[] = [];
    for (const one of open) {
      const [whole, inner] = /\{([^{}]*)\}/.exec(one) ?? [];
      if (whole === undefined) done.push(one);
      else if (inner?.includes(",") !== true)
        throw new ValueError("has braces without a comma", 'such as "{stable,lts}-*"');
      else next.push(...inner.split(",").map((part) => one.replace(whole, () => part)));
    }
    open = next;
    if (done.length + open.length > ALTERNATIVES_MAX)
      throw new ValueError(`spells out more than ${ALTERNATIVES_MAX} alternatives`, "ask for fewer of them at once");
  }
  if (done.some((one) => /[{}]/.test(one)))
    throw new ValueError("has a brace that is not closed", 'such as "{stable,lts}-*"');
  return done;
}

function componentOf(text: string): Component {
  if (text === "**") return undefined;
  return [...text.matchAll(/\*+|\[[!^]?\]?[^\]]*\]|[^]/g)].map(([part]): Part => {
    if (part.startsWith(STAR)) return STAR;
    if (part === "?") return () => true;
    if (part === "[") throw new ValueError("has a bracket that is not closed", 'such as "v[0-9]*"');
    return part.length > 1 ? setOf(part) : (character) => character === part;
  });
}

/** `[0-9a]`, `[!a]`. */
function setOf(text: string): (character: string) => boolean {
  const [, not, inner = ""] = /^\[([!^]?)(.*)\]$/s.exec(text) ?? [];
  const ranges = [...inner.matchAll(/([^])-([^])|([^])/g)].map(
    ([, from, to, one = ""]) => [from ?? one, to ?? one] as const,
  );
  const isIn = (character: string) => ranges.some(([from, to]) => from <= character && character <= to);
  return not === "" ? isIn : (character) => !isIn(character);
}

function isAnything(component: Component): boolean {
  return component === undefined;
}

function fitsComponent(parts: Component, text: string): boolean {
  const isStar = (part: Part) => part === STAR;
  return fits(parts ?? [], text, isStar, (part, character) => part !== STAR && part(character));
}

/** Where it does not go on, only the last star is stretched: what an earlier one could do, that one can do as well. */
function fits<P, T>(
  wanted: readonly P[],
  given: ArrayLike<T>,
  isStar: (part: P) => boolean,
  isFitting: (part: P, one: T) => boolean,
): boolean {
  let [at, star, resume] = [0, -1, 0];
  for (let done = 0; done < given.length;) {
    const part = wanted[at];
    if (at < wanted.length && isStar(part as P)) {
      star = at++;
      resume = done;
    } else if (at < wanted.length && isFitting(part as P, given[done] as T)) {
      at += 1;
      done += 1;
    } else if (star !== -1) {
      at = star + 1;
      done = resume += 1;
    } else return false;
  }
  return wanted.slice(at).every(isStar);
}
