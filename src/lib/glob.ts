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
  try {
    const expression = picomatch.makeRe(pattern, { strictBrackets: true, nonegate: true, dot: true });
    return (tag) => expression.test(tag);
  } catch {
    throw new ValueError(`${shown(pattern)} is no valid pattern`, 'close every bracket and brace, such as "v[0-9]*"');
  }
}
