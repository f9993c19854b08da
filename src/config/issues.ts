import type { z } from "zod";
import { nearest } from "../lib/nearest.ts";
import { shown } from "../lib/units.ts";
import { knownKeys, LOG_FORMATS } from "./schema.ts";
import { kindOf } from "./values.ts";

/** Something wrong at a place in the file: keys and list positions from its top. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly hint: string | undefined;
}

/** What zod found, in our words. `prefix` is where the value stood that was read. */
export function findingsOf(issues: readonly z.core.$ZodIssue[], prefix: readonly PropertyKey[]): Finding[] {
  return issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path];
    switch (issue.code) {
      case "unrecognized_keys":
        return issue.keys.map((key) => ({ path: [...path, key], message: "unknown key", hint: keyHint(key, path) }));
      case "custom": {
        const hint: unknown = issue.params?.["hint"];
        return { path, message: issue.message, hint: typeof hint === "string" ? hint : undefined };
      }
      case "invalid_type":
        return issue.expected === "array"
          ? { path, message: issue.message, hint: undefined }
          : notAMapping(path, issue.input);
      default:
        return { path, message: issue.message, hint: undefined };
    }
  });
}

/** What others call it. */
const ADDRESS_KEYS: ReadonlySet<string> = new Set(["port", "host", "address", "addr", "bind", "http"]);

function keyHint(key: string, path: readonly PropertyKey[]): string {
  const known = knownKeys(path);
  if (path.length === 2 && knownKeys([...path, "tags"]).includes(key))
    return 'it belongs below `tags`, such as `tags: [{ match: "*", revalidate_after: 60s }]`';
  const near = path.length === 0 && ADDRESS_KEYS.has(key) ? "listen" : nearest(key, known);
  return near === undefined ? `the keys here are ${known.join(", ")}` : `did you mean ${shown(near)}?`;
}

function notAMapping(path: readonly PropertyKey[], input: unknown): Finding {
  const said = input === undefined ? "" : `, not ${kindOf(input)}`;
  return { path, message: `must be a mapping of keys to values${said}`, hint: mappingHint(path, input) };
}

function mappingHint(path: readonly PropertyKey[], input: unknown): string {
  const [first, key] = path;
  const format = first === "log" ? LOG_FORMATS.find((one) => one === input) : undefined;
  if (format !== undefined) return `write \`log: { format: ${format} }\``;
  if (first === "tls") return "write `tls: { mode: files, cert: FILE, key: FILE }` or `tls: { mode: off }`";
  if (first === "registries" && key === undefined) return "such as `ghcr: { enabled: false }`";
  if (first === "registries" && path.length === 2 && typeof input === "boolean")
    return `write \`${String(key)}: { enabled: ${input} }\``;
  const [example = "listen", ...others] = knownKeys(path);
  const isOneTooFarLeft = first === "registries" && path.length === 2 && [example, ...others].includes(String(key));
  return isOneTooFarLeft ? "indent it further: it belongs below the id of its registry" : `such as \`${example}: ...\``;
}
