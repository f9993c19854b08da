import { isUtf8 } from "node:buffer";
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type YAMLError,
} from "yaml";
import { ConfigError, type Problem } from "./errors.ts";
import type { Finding } from "./issues.ts";
import { tooDeepAt, unclosedAt } from "./nesting.ts";

/** A file as YAML, which knows where in the text everything stands. */
export interface YamlText {
  readonly value: unknown;
  readonly problem: (finding: Finding) => Problem;
}

/** References to anchors that may be expanded; a bomb has millions. */
const ALIASES_MAX = 100;

/**
 * Reads one YAML 1.2 document.
 *
 * @throws ConfigError with everything that is wrong with its syntax
 */
export function parseYaml(bytes: Buffer, file: string): YamlText {
  if (!isUtf8(bytes)) throw new ConfigError([notUtf8(bytes, file)]);
  const lines = new LineCounter();
  const document = parseText(bytes.toString("utf8"), lines, file);
  const value = expand(document, lines, file);
  return { value, problem: (finding) => locate(document, lines, file, finding) };
}

function parseText(text: string, lineCounter: LineCounter, file: string): Document.Parsed {
  const tooDeep = tooDeepAt(text);
  if (tooDeep !== undefined) {
    lineCounter.addNewLine(0);
    for (const { index } of text.matchAll(/\n/g)) lineCounter.addNewLine(index + 1);
    const hint = "no configuration needs so many brackets inside each other";
    throw new ConfigError([at(lineCounter, file, tooDeep, { path: "", message: "is nested too deeply", hint })]);
  }
  let document: Document.Parsed;
  try {
    // Not "silent": a second document is then passed over without a word.
    document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true, logLevel: "error" });
  } catch {
    // The parser calls itself for each level, and indentation nests too: the stack may be exhausted.
    throw new ConfigError([nestedTooDeeply(file)]);
  }
  const errors = [...document.errors, ...document.warnings];
  if (errors.length > 0) throw new ConfigError(syntaxProblems(errors, text, lineCounter, file));
  return document;
}

/** One mistake is often seen as several: what follows it on its line, and all that follows an open bracket, is noise. */
function syntaxProblems(errors: readonly YAMLError[], text: string, lines: LineCounter, file: string): Problem[] {
  const unclosed = unclosedAt(text);
  const lineOf = ({ pos }: YAMLError) => lines.linePos(pos[0]).line;
  const told = errors.filter(
    (error, index) =>
      (unclosed === undefined || error.pos[0] < unclosed) &&
      errors.findIndex((other) => lineOf(other) === lineOf(error)) === index,
  );
  const problems = told.map(
    (error) => indentationProblem(error, errors, lines, file) ?? syntaxProblem(error, lines, file),
  );
  if (unclosed === undefined) return problems;
  const hint = `write ${text[unclosed] === "{" ? "}" : "]"} where it ends`;
  const message = "a bracket is opened here and never closed";
  return [...problems, at(lines, file, unclosed, { path: "", message, hint })];
}

function nestedTooDeeply(file: string): Problem {
  return fileProblem(file, "is nested too deeply", "no configuration needs so many levels");
}

/** Our own words, for the parser's messages quote the text, and a password may be in it. */
const SYNTAX: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  BAD_ALIAS: ["refers to an anchor that is not defined", "texts that begin with * must be in quotes"],
  BAD_DQ_ESCAPE: ["unknown escape in a quoted text", "use single quotes, or write \\\\ for a backslash"],
  BAD_INDENT: ["wrong indentation", "keys of one mapping begin in the same column"],
  BAD_SCALAR_START: ["a text cannot begin with this character", "put the text in quotes"],
  BAD_COLLECTION_TYPE: ["the tag does not fit to what follows", "remove the tag"],
  BLOCK_AS_IMPLICIT_KEY: [
    "two keys on one line",
    "write each `key: value` on its own line, texts with a colon in quotes",
  ],
  DUPLICATE_KEY: ["this key was already given above", "keep one of the two"],
  MISSING_CHAR: ["a quote, bracket, comma, colon or space is missing", "texts with special characters go in quotes"],
  MULTILINE_IMPLICIT_KEY: ["a key without a colon, or one over several lines", "write `key: value`"],
  NON_STRING_KEY: ["a key must be a plain text", "write `key: value`"],
  RESOURCE_EXHAUSTION: ["is nested too deeply", "no configuration needs so many levels"],
  UNEXPECTED_TOKEN: ["something stands where it cannot", "texts with special characters go in quotes"],
  MULTIPLE_DOCS: ["a second document begins", "remove the line ---"],
  TAB_AS_INDENT: ["a tab is used for indentation", "use spaces"],
  TAG_RESOLVE_FAILED: ["unknown tag", "texts that begin with ! must be in quotes"],
};

/** A key that is indented too far goes on with the value above it, which then seems to be a key of two lines. */
function indentationProblem(
  { code, pos: [start] }: YAMLError,
  errors: readonly YAMLError[],
  lines: LineCounter,
  file: string,
): Problem | undefined {
  const key = errors.find((other) => other.code === "MULTILINE_IMPLICIT_KEY" && other.pos[0] === start);
  if (code !== "BLOCK_AS_IMPLICIT_KEY" || key === undefined) return undefined;
  const [message, hint] = ["is indented too far", "keys of one mapping begin in the same column"];
  return at(lines, file, key.pos[1], { path: "", message, hint });
}

function syntaxProblem(error: YAMLError, lines: LineCounter, file: string): Problem {
  const [message, hint] = SYNTAX[error.code] ?? [
    `not valid YAML (${error.code})`,
    "texts with special characters go in quotes",
  ];
  return at(lines, file, error.pos[0], { path: "", message, hint });
}

function expand(document: Document.Parsed, lines: LineCounter, file: string): unknown {
  let aliases: readonly Alias[] = [];
  try {
    aliases = firstAliases(document);
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    if (error instanceof RangeError) throw new ConfigError([nestedTooDeeply(file)]);
    throw new ConfigError([aliasProblem(document, aliases, lines, file)]);
  }
}

/** As many as may be needed to find the one that is wrong: each look at its anchor walks through the whole document. */
function firstAliases(document: Document.Parsed): Alias[] {
  const aliases: Alias[] = [];
  visit(document, {
    Alias: (_key, alias) => {
      aliases.push(alias);
      return aliases.length > ALIASES_MAX ? visit.BREAK : undefined;
    },
  });
  return aliases;
}

function aliasProblem(document: Document.Parsed, aliases: readonly Alias[], lines: LineCounter, file: string): Problem {
  const dangling = aliases.find((alias) => alias.resolve(document) === undefined);
  if (dangling !== undefined) {
    const [message, hint] = [
      "refers to an anchor that is not defined above",
      "texts that begin with * must be in quotes",
    ];
    return at(lines, file, dangling.range?.[0], { path: "", message, hint });
  }
  const message = "anchors are referred to too often, or to themselves";
  const hint = `at most ${ALIASES_MAX} references are expanded`;
  return at(lines, file, aliases[0]?.range?.[0], { path: "", message, hint });
}

/** The nearest place that exists in the text: a key that is missing is blamed on the mapping around it. */
function locate(
  document: Document.Parsed,
  lines: LineCounter,
  file: string,
  { path, message, hint }: Finding,
): Problem {
  let node: unknown = document.contents;
  let offset: number | undefined = document.contents?.range?.[0];
  let depth = 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined || !isScalar(pair.key)) break;
      offset = pair.key.range?.[0];
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      node = node.items[step];
      offset = (node as { range?: [number, number, number] | null } | undefined)?.range?.[0] ?? offset;
    } else break;
    depth += 1;
  }
  // One value may stand where a list may: it has no position then.
  const isSingle = depth === path.length - 1 && typeof path.at(-1) === "number";
  return at(lines, file, offset, { path: pathText(isSingle ? path.slice(0, -1) : path), message, hint });
}

const KEY_SHOWN_LENGTH_MAX = 80;

/** `registries.dockerhub.tags[0].match`. */
export function pathText(path: readonly PropertyKey[]): string {
  const parts = path.map((step) => {
    if (typeof step === "number") return `[${step}]`;
    const key = String(step);
    return `.${/^[\w-]{1,80}$/.test(key) ? key : JSON.stringify(key.slice(0, KEY_SHOWN_LENGTH_MAX))}`;
  });
  return parts.join("").replace(/^\./, "");
}

function at(
  lines: LineCounter,
  file: string,
  offset: number | undefined,
  rest: Pick<Problem, "path" | "message" | "hint">,
): Problem {
  const place = offset === undefined ? undefined : lines.linePos(offset);
  return { file, line: place?.line, column: place?.col, ...rest };
}

export function fileProblem(file: string | undefined, message: string, hint: string | undefined): Problem {
  return { file, line: undefined, column: undefined, path: "", message, hint };
}

const LINE_FEED = 0x0a;

/** A line feed is never a part of another character in UTF-8, so each line is right or wrong by itself. */
function notUtf8(bytes: Buffer, file: string): Problem {
  let line = 1;
  for (let start = 0; start < bytes.length; line += 1) {
    const end = bytes.indexOf(LINE_FEED, start);
    const stop = end === -1 ? bytes.length : end;
    if (!isUtf8(bytes.subarray(start, stop))) break;
    start = stop + 1;
  }
  return { ...fileProblem(file, "is not UTF-8", "save the file with the encoding UTF-8"), line, column: 1 };
}
