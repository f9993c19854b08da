import type { z } from "zod";
import { nearest } from "../lib/nearest.ts";
import { shown } from "../lib/units.ts";
import { knownKeys } from "./schema.ts";
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

function keyHint(key: string, path: readonly PropertyKey[]): string {
  const known = knownKeys(path);
  const near = nearest(key, known);
  return near === undefined ? `the keys here are ${known.join(", ")}` : `did you mean ${shown(near)}?`;
}

function notAMapping(path: readonly PropertyKey[], input: unknown): Finding {
  const [example = "listen"] = knownKeys(path);
  const said = input === undefined ? "" : `, not ${kindOf(input)}`;
  const hint = path.at(-1) === "registries" ? "such as `ghcr: { enabled: false }`" : `such as \`${example}: ...\``;
  return { path, message: `must be a mapping of keys to values${said}`, hint };
}
