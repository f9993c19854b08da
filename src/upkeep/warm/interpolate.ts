/** What Compose makes of `${...}` in a text; `missing` are the variables that have no value. */
export interface Interpolated {
  readonly text: string;
  readonly missing: readonly string[];
}

/** Variables within the values of variables, and so on; people write one or two. */
const DEPTH_MAX = 10;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;
const OPERATOR = /^:?[-?+]/;

/**
 * Compose's own rules: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?message}`, `${VAR?message}`, `${VAR:+instead}`,
 * `${VAR+instead}`, and `$$` for one dollar. With the colon, an empty value counts as none. What is no such thing stays as it is.
 */
export function interpolate(
  text: string,
  variables: Readonly<Record<string, string | undefined>>,
  depth = 0,
): Interpolated {
  let out = "";
  const missing: string[] = [];
  for (let at = 0; at < text.length;) {
    const dollar = text.indexOf("$", at);
    if (dollar === -1) {
      out += text.slice(at);
      break;
    }
    out += text.slice(at, dollar);
    const found = variableAt(text, dollar);
    if (found === undefined || depth > DEPTH_MAX) {
      // Two of them are one that means nothing.
      out += "$";
      at = dollar + (text[dollar + 1] === "$" ? 2 : 1);
      continue;
    }
    const value = valueOf(found, variables, depth);
    out += value.text;
    missing.push(...value.missing);
    at = found.end;
  }
  return { text: out, missing };
}

interface Variable {
  readonly name: string;
  /** `:-` and the like; empty where there is none. */
  readonly operator: string;
  readonly word: string;
  readonly end: number;
}

function variableAt(text: string, dollar: number): Variable | undefined {
  const isBraced = text[dollar + 1] === "{";
  const start = dollar + (isBraced ? 2 : 1);
  const name = NAME.exec(text.slice(start))?.[0];
  if (name === undefined) return undefined;
  const after = start + name.length;
  if (!isBraced) return { name, operator: "", word: "", end: after };
  const close = closingBrace(text, after);
  if (close === undefined) return undefined;
  const operator = OPERATOR.exec(text.slice(after, close))?.[0] ?? "";
  if (operator === "" && after !== close) return undefined;
  return { name, operator, word: text.slice(after + operator.length, close), end: close + 1 };
}

/** The brace that closes what was opened before `from`, past those that are opened after it. */
function closingBrace(text: string, from: number): number | undefined {
  let open = 1;
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith("${", at)) open += 1;
    else if (text[at] === "}") open -= 1;
    if (open === 0) return at;
  }
  return undefined;
}

function valueOf(
  { name, operator, word }: Variable,
  variables: Readonly<Record<string, string | undefined>>,
  depth: number,
): Interpolated {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
  const isSet = value !== undefined && (value !== "" || !operator.startsWith(":"));
  if (operator.endsWith("+")) return isSet ? interpolate(word, variables, depth + 1) : { text: "", missing: [] };
  if (isSet) return { text: value, missing: [] };
  if (operator.endsWith("-")) return interpolate(word, variables, depth + 1);
  return { text: "", missing: [name] };
}
