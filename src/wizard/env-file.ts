import { isDeepStrictEqual, parseEnv } from "node:util";
import { ValueError } from "../lib/value-error.ts";
import { EditError } from "./yaml-editor.ts";

const HEADER = "# Secrets for the configuration beside it. Nobody else needs to read this file.\n";
/** Needs no quotes, in a shell and for Docker Compose either. */
const PLAIN = /^[A-Za-z0-9_\-./+=:@%,]+$/;

/**
 * A `.env` file with variables changed, or taken out where there is no value; all other lines stay as they are.
 *
 * @throws EditError where the file has a form that cannot be changed; ValueError for a value that it cannot hold
 */
export function editEnv(text: string, changes: ReadonlyMap<string, string | undefined>): string {
  const before = parseEnv(text);
  const wanted = new Map(Object.entries(before));
  let lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  for (const [name, value] of changes) {
    if (before[name] === value) continue;
    if (value === undefined) wanted.delete(name);
    else wanted.set(name, value);
    lines = changed(lines, name, value === undefined ? undefined : `${name}=${quoted(value)}`);
  }
  const isNew = text === "" && lines.length > 0;
  const edited = isDeepStrictEqual(wanted, new Map(Object.entries(before)))
    ? text
    : (isNew ? HEADER : "") + lines.map((line) => `${line}\n`).join("");
  // A value over several lines may look like an assignment.
  if (isDeepStrictEqual(new Map(Object.entries(parseEnv(edited))), wanted)) return edited;
  throw new EditError("has a form that cannot be changed here");
}

/** In place of the last assignment, which is the one that counts; at the end where there was none. */
function changed(lines: readonly string[], name: string, line: string | undefined): string[] {
  const isIts = (one: string) => new RegExp(`^\\s*(?:export\\s+)?${name}\\s*=`).test(one);
  const last = lines.findLastIndex(isIts);
  const others = lines.flatMap((one, index) => {
    if (index === last) return line ?? [];
    return isIts(one) ? [] : one;
  });
  return last === -1 && line !== undefined ? [...others, line] : others;
}

/** Double quotes come last: line breaks are written in them, and other programs replace variables there. */
function quoted(value: string): string {
  if (PLAIN.test(value)) return value;
  const quote = ["'", "`", '"'].find((one) => !value.includes(one) && !(one === '"' && value.includes("\\")));
  if (quote !== undefined) return `${quote}${value}${quote}`;
  throw new ValueError(
    "has every kind of quote, which a .env file cannot hold",
    "put it into a file of its own, which REGISTRY_CACHE_..._PASSWORD_FILE names",
  );
}
