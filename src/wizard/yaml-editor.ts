import { isDeepStrictEqual } from "node:util";
import { isMap, isScalar, isSeq, type Pair, parseDocument, stringify, type YAMLMap } from "yaml";

/** A file that cannot be changed without harm to what else stands in it. */
export class EditError extends Error {
  override readonly name = "EditError";
}

/** Keys from the top: `["registries", "ghcr", "hostnames"]`. */
export type KeyPath = readonly [string, ...string[]];

const INDENT = 2;
/** A mapping that fits is written on one line. */
const LINE_LENGTH_MAX = 110;

/**
 * A YAML text with single values changed: the rest of it, comments, order and spaces included, stays as it is. The library's own
 * output would move comments and set lines anew, so that only new values are written by it, at the places that it knows.
 */
export class YamlEditor {
  #text: string;
  #value: unknown;

  constructor(text: string) {
    this.#text = text === "" || text.endsWith("\n") ? text : `${text}\n`;
    this.#value = valueOf(this.#text);
  }

  get text(): string {
    return this.#text;
  }

  /** What stands at a path; undefined where nothing does. */
  get(path: KeyPath): unknown {
    return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), this.#value);
  }

  /** `comment` goes above a key at the top that was not there before. */
  set(path: KeyPath, value: unknown, comment?: string): void {
    if (isDeepStrictEqual(this.get(path), value)) return;
    this.#become(this.#textWith(path, value, comment), withValue(this.#value, path, value));
  }

  /** What is left empty by it goes as well, and so does the comment above it where it is this one. */
  remove(path: KeyPath, comment?: string): void {
    if (this.get(path) === undefined) return;
    const parent = path.slice(0, -1);
    if (isPath(parent) && Object.keys(this.get(parent) as object).length === 1) return this.remove(parent, comment);
    this.#become(this.#textWithout(path, comment), withValue(this.#value, path, undefined));
  }

  /** Whatever was done to the text, it must mean what was wanted, and everything else what it meant before. */
  #become(text: string, wanted: unknown): void {
    let found: unknown;
    try {
      found = valueOf(text);
    } catch (error) {
      throw new EditError("the file refers to anchors, or has another form that cannot be changed here", {
        cause: error,
      });
    }
    if (!isDeepStrictEqual(found ?? {}, wanted ?? {})) {
      throw new EditError("the file has a form that cannot be changed here");
    }
    this.#text = text;
    this.#value = found;
  }

  #textWith(path: KeyPath, value: unknown, comment: string | undefined): string {
    const text = this.#text;
    const { contents } = parseDocument(text);
    if (!isMap(contents) || isOneLine(contents)) {
      // An empty file, or all of it in braces.
      if (isMap(contents) && contents.items.length > 0)
        return this.#replaced(contents, withValue(this.#value, path, value));
      const kept = isMap(contents) ? cut(text, contents.range) : text;
      return appended(kept, path, value, comment);
    }
    let map: YAMLMap = contents;
    for (const [depth, key] of path.entries()) {
      const pair = pairOf(map, key);
      const rest = path.slice(depth + 1);
      if (pair === undefined) {
        const below = nested(rest, value);
        if (depth === 0) return appended(text, [key], below, comment);
        return inserted(text, map, key, below);
      }
      const { value: node } = pair;
      if (rest.length === 0) return this.#withNode(pair, map, value);
      if (!isMap(node) || (isOneLine(node) && rest.length > 1) || node.items.length === 0) {
        const before = this.get([path[0], ...path.slice(1, depth + 1)]);
        return this.#withNode(pair, map, withValue(before ?? {}, rest, value));
      }
      map = node;
    }
    return text;
  }

  /** The text with another value behind a key. */
  #withNode(pair: Pair, map: YAMLMap, value: unknown): string {
    const text = this.#text;
    const { key, value: node } = pair;
    const range = rangeOf(node);
    if (range !== undefined && (isScalar(node) || isFlow(node)) && range[1] > range[0]) {
      // A text of several lines has the break behind it as well.
      const end = text.slice(range[0], range[1]).endsWith("\n") ? "\n" : "";
      return text.slice(0, range[0]) + inline(value) + end + text.slice(range[1]);
    }
    if (isOneLine(map))
      return this.#replaced(map, withValue(map.toJSON(), [String(isScalar(key) ? key.value : key)], value));
    const { start, end } = sectionOf(text, pair, map);
    const column = columnOf(text, start);
    // What is commented out below an empty key stays there.
    const isEmpty = node === null || (isScalar(node) && node.value === null);
    const stop = isEmpty ? lineEnd(text, start) : end;
    const tail = isEmpty ? commentIn(text.slice(start, stop)) : "";
    const lines = rendered(String(isScalar(key) ? key.value : key), value, column);
    return text.slice(0, start) + lines.trimStart().replace("\n", `${tail}\n`) + text.slice(stop);
  }

  #replaced(node: YAMLMap, value: unknown): string {
    const [from = 0, to = 0] = node.range ?? [];
    return this.#text.slice(0, from) + inline(value) + this.#text.slice(to);
  }

  #textWithout(path: KeyPath, comment: string | undefined): string {
    const text = this.#text;
    let map = parseDocument(text).contents;
    for (const [depth, key] of path.entries()) {
      if (!isMap(map)) break;
      const pair = pairOf(map, key);
      if (pair === undefined) break;
      if (depth < path.length - 1) {
        map = pair.value as typeof map;
        continue;
      }
      if (isOneLine(map)) return this.#replaced(map, withValue(map.toJSON(), [key], undefined));
      const { start, end } = sectionOf(text, pair, map);
      const before = text.slice(0, lineStart(text, start));
      if (comment === undefined || depth > 0 || !before.endsWith(commented(comment))) return before + text.slice(end);
      return before.slice(0, -commented(comment).length).replace(/\n\n$/, "\n") + text.slice(end);
    }
    throw new EditError("the file has a form that cannot be changed here");
  }
}

function valueOf(text: string): unknown {
  const document = parseDocument(text, { stringKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  return document.toJS() as unknown;
}

function withValue(before: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  const map = isObject(before) ? before : {};
  if (key === undefined) return value;
  const below = rest.length === 0 ? value : withValue(map[key], rest, value);
  const { [key]: _, ...others } = map;
  if (below === undefined) return others;
  return Object.hasOwn(map, key) ? { ...map, [key]: below } : { ...others, [key]: below };
}

function nested(path: readonly string[], value: unknown): unknown {
  return path.toReversed().reduce((below, key) => ({ [key]: below }), value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPath(path: readonly string[]): path is KeyPath {
  return path.length > 0;
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
}

function isOneLine(map: YAMLMap): boolean {
  return map.flow === true;
}

function isFlow(node: unknown): boolean {
  return (isMap(node) || isSeq(node)) && node.flow === true;
}

function rangeOf(node: unknown): readonly [number, number, number] | undefined {
  return (node as { range?: [number, number, number] | null } | null)?.range ?? undefined;
}

/**
 * From a key to where the next one of its mapping, or of one around it, begins: without the comments above that, which the library
 * counts among this one's.
 */
function sectionOf(text: string, { key }: Pair, map: YAMLMap): { start: number; end: number } {
  const start = rangeOf(key)?.[0] ?? 0;
  const column = columnOf(text, start);
  let end = lineEnd(text, start);
  for (let at = end; at < text.length; at = lineEnd(text, at)) {
    const line = text.slice(at, lineEnd(text, at));
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    const rest = line.slice(indent);
    if (/^\r?\n?$/.test(rest)) continue;
    // A list's dashes may stand below their key's first letter.
    const isItem = indent === column && /^-(?:\s|$)/.test(rest);
    if (indent <= column && !isItem && !isInside(map, key, at + indent)) break;
    end = lineEnd(text, at);
  }
  return { start, end };
}

/** Texts over several lines, and brackets, may go on at any column. */
function isInside(map: YAMLMap, key: unknown, offset: number): boolean {
  const node = map.items.find((pair) => pair.key === key)?.value;
  const range = rangeOf(node);
  if (range === undefined || (!isScalar(node) && !isFlow(node))) return false;
  return offset >= range[0] && offset < range[1];
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** Behind the line's break. */
function lineEnd(text: string, offset: number): number {
  const found = text.indexOf("\n", offset);
  return found === -1 ? text.length : found + 1;
}

function columnOf(text: string, offset: number): number {
  return offset - lineStart(text, offset);
}

/** The comment behind `key:`, with the space before it. */
function commentIn(line: string): string {
  return /\s+#.*/.exec(line)?.[0].trimEnd() ?? "";
}

function cut(text: string, range: readonly [number, number, number] | null | undefined): string {
  return range ? text.slice(0, range[0]) + text.slice(range[1]).replace(/^[^\S\n]*\n/, "") : text;
}

function appended(text: string, [key, ...rest]: KeyPath, value: unknown, comment: string | undefined): string {
  const above = comment === undefined ? "" : commented(comment);
  const gap = text === "" ? "" : "\n";
  return `${text}${gap}${above}${rendered(key, nested(rest, value), 0)}`;
}

function commented(comment: string): string {
  return comment
    .split("\n")
    .map((line) => `# ${line}\n`)
    .join("");
}

/** Behind the last key of a mapping. */
function inserted(text: string, map: YAMLMap, key: string, value: unknown): string {
  if (isOneLine(map)) {
    const [from = 0, to = 0] = map.range ?? [];
    const braces = text.slice(from, to);
    // Over several lines there may be comments in it, and the brace on a line of its own.
    if (braces.includes("\n")) {
      return text.slice(0, from) + inline({ ...(map.toJSON() as object), [key]: value }) + text.slice(to);
    }
    const open = braces.replace(/[\s,]*\}$/, "");
    return `${text.slice(0, from)}${open}, ${inline(key)}: ${inline(value)} }${text.slice(to)}`;
  }
  const last = map.items.at(-1);
  if (last === undefined) return text;
  const { start, end } = sectionOf(text, last, map);
  return text.slice(0, end) + rendered(key, value, columnOf(text, start)) + text.slice(end);
}

/** `key: value` with its line break; what is too long for a line, or stands at the top, on lines of its own. */
function rendered(key: string, value: unknown, column: number): string {
  const line = `${" ".repeat(column)}${inline(key)}: ${inline(value)}\n`;
  const isLong = line.length > LINE_LENGTH_MAX || column === 0;
  if (!isObject(value) || !isLong || Object.keys(value).length === 0) return line;
  const below = Object.entries(value).map(([name, one]) => rendered(name, one, column + INDENT));
  return `${" ".repeat(column)}${inline(key)}:\n${below.join("")}`;
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (isObject(value)) {
    const pairs = Object.entries(value).map(([key, one]) => `${inline(key)}: ${inline(one)}`);
    return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`;
  }
  // All on one line.
  if (typeof value === "string" && /\p{Cc}/u.test(value)) return JSON.stringify(value);
  // As an item of a list in brackets, where commas and brackets need quotes.
  return stringify([value], { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 })
    .trim()
    .slice(1, -1);
}
