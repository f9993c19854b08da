import picomatch from "picomatch";
import { ValueError } from "./value-error.ts";
import { shown } from "./units.ts";

/** Tags have at most 128 characters; a pattern may spell out some alternatives. */
const TAG_GLOB_LENGTH_MAX = 512;

/**
 * Compiles a glob over tags: `*`, `v[0-9]*`, `{stable,lts}-*`. It is the one place that knows the glob dialect.
 *
 * @throws ValueError
 */
export function compileTagGlob(pattern: string): (tag: string) => boolean {
  if (pattern === "") throw new ValueError("is empty", 'write "*" to match every tag');
  if (pattern.length > TAG_GLOB_LENGTH_MAX) {
    throw new ValueError(`is longer than ${TAG_GLOB_LENGTH_MAX} characters`, "split it into several rules");
  }
  if (/[/:@\s]/.test(pattern)) {
    throw new ValueError(
      `${shown(pattern)} can match no tag`,
      'patterns are compared with the tag alone, such as "v[0-9]*"',
    );
  }
  return compiled(pattern, '"v[0-9]*"');
}

/** Names of users have a few words, repositories at most 255 characters. */
const GLOB_LENGTH_MAX = 1_024;

/**
 * Compiles a glob over names of any kind: `ci-*`. A star goes over everything.
 *
 * @throws ValueError
 */
export function compileNameGlob(pattern: string): (name: string) => boolean {
  assertLength(pattern);
  // The library's star leaves out "." and "..".
  return pattern === "*" || pattern === "**" ? () => true : compiled(pattern, '"ci-*"', { bash: true });
}

/**
 * Compiles a glob over repository names: `library/*`, `org/**`. A star stays within one component, two go over slashes; a
 * star alone is every repository.
 *
 * @throws ValueError
 */
export function compileRepositoryGlob(pattern: string): (name: string) => boolean {
  assertLength(pattern);
  if (/[A-Z:@\s]/.test(pattern)) {
    throw new ValueError(
      `${shown(pattern)} can match no repository`,
      'patterns are compared with the name alone, in small letters, such as "library/*"',
    );
  }
  return pattern === "*" || pattern === "**" ? () => true : compiled(pattern, '"library/*"');
}

/**
 * Compiles a glob over whole images: `docker.io/library/*`, `ghcr.io/org/**:v*`. What stands behind the last colon is compared with
 * the tag, and fits no image without one; without it all of a repository is meant.
 *
 * @throws ValueError
 */
export function compileImageGlob(pattern: string): (path: string, tag: string | undefined) => boolean {
  assertLength(pattern);
  if (/[@\s]/.test(pattern)) {
    throw new ValueError(
      `${shown(pattern)} can match no image`,
      'such as "docker.io/library/*"; digests have no patterns',
    );
  }
  const colon = pattern.indexOf(":", pattern.lastIndexOf("/") + 1);
  const named = colon === -1 ? pattern : pattern.slice(0, colon);
  const [first = ""] = named.split("/");
  if (!/[.:*?[{]/.test(first) && first !== "localhost") {
    const meant = named.includes("/") ? `docker.io/${pattern}` : `docker.io/library/${pattern}`;
    throw new ValueError(`${shown(pattern)} does not begin with a registry's name`, `such as "${meant}"`);
  }
  const isPath = compiled(named === "*" ? "**" : named, '"docker.io/library/*"');
  const isTag = colon === -1 ? undefined : compileTagGlob(pattern.slice(colon + 1));
  return (path, tag) => isPath(path) && (isTag === undefined || (tag !== undefined && isTag(tag)));
}

/** Whether one of some globs over repository names matches. */
export function compileShared(patterns: readonly string[]): (name: string) => boolean {
  const matchers = patterns.map(compileRepositoryGlob);
  return (name) => matchers.some((matches) => matches(name));
}

function assertLength(pattern: string): void {
  if (pattern === "") throw new ValueError("is empty", 'write "*" to match everything');
  if (pattern.length <= GLOB_LENGTH_MAX) return;
  throw new ValueError(`is longer than ${GLOB_LENGTH_MAX} characters`, "split it into several rules");
}

function compiled(pattern: string, example: string, more: picomatch.PicomatchOptions = {}): (text: string) => boolean {
  try {
    const expression = picomatch.makeRe(pattern, { strictBrackets: true, nonegate: true, dot: true, ...more });
    return (text) => expression.test(text);
  } catch {
    throw new ValueError(`${shown(pattern)} is no valid pattern`, `close every bracket and brace, such as ${example}`);
  }
}
