import { Lexer } from "yaml";

/** Brackets and braces inside each other. A configuration has no use for more than three. */
const FLOW_DEPTH_MAX = 16;
/** Keys announced by `?`. YAML allows them; nobody's configuration has them. */
const EXPLICIT_KEYS_MAX = 16;

/** The mark that the lexer puts before a plain text, which is no bracket then, whatever it looks like. */
const SCALAR = "\u001f";

/**
 * Where a text is nested more deeply than any configuration, as an offset; undefined where it is not. The lexer takes
 * time in proportion to the text; the parser behind it needs minutes for two kilobytes of `{` or `? `, and would hold up
 * the whole process.
 */
export function tooDeepAt(text: string): number | undefined {
  let depth = 0;
  let explicitKeys = 0;
  for (const { token, offset } of signs(text)) {
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth = Math.max(0, depth - 1);
    else if (token === "?") explicitKeys += 1;
    if (depth > FLOW_DEPTH_MAX || explicitKeys > EXPLICIT_KEYS_MAX) return offset;
  }
  return undefined;
}

/** The first bracket or brace that is never closed, as an offset. */
export function unclosedAt(text: string): number | undefined {
  const open: number[] = [];
  for (const { token, offset } of signs(text)) {
    if (token === "{" || token === "[") open.push(offset);
    else if (token === "}" || token === "]") open.pop();
    else if (token === FLOW_CUT && open.length > 0) return open[0];
  }
  return open[0];
}

/** All that the lexer finds but texts. */
function* signs(text: string): Generator<{ readonly token: string; readonly offset: number }> {
  let offset = 0;
  let afterScalarMark = false;
  for (const token of new Lexer().lex(text)) {
    const isText: boolean = afterScalarMark;
    afterScalarMark = !isText && token === SCALAR;
    if (!isText) yield { token, offset };
    if (isText || !isMark(token)) offset += token.length;
  }
}

/** Where a line begins too far to the left for the brackets that are open. */
const FLOW_CUT = "\u0018";

/** Document start, flow error end and scalar marks are the lexer's own; they stand for no character of the text. */
function isMark(token: string): boolean {
  return token === "\u0002" || token === FLOW_CUT || token === SCALAR;
}
