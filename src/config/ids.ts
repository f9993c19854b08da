import { nearest } from "../lib/nearest.ts";
import { shown } from "../lib/units.ts";
import { BUILT_IN_REGISTRIES } from "./built-in.ts";
import type { Finding } from "./issues.ts";
import type { RegistryDraft } from "./registries.ts";

/** Ids become parts of environment variables, so they have no character that those cannot have, but for dashes. */
const ID = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

/** `GET /summary` counts the images of all registries under this key, beside those of each under its id. */
const RESERVED_ID = "total";

/** What is wrong with a registry's id in the file, if anything is. */
export function idFinding(id: string): Finding | undefined {
  if (id === RESERVED_ID) {
    const hint = "choose another one, such as my-total";
    return { path: ["registries", id], message: "cannot be a registry's id: statistics use the word", hint };
  }
  if (ID.test(id)) return undefined;
  const meant = builtInServing(id);
  const hint =
    meant === undefined
      ? "ids have small letters, digits and dashes, such as my-corp; the name that images carry goes to serves"
      : `did you mean ${shown(meant)}, which serves ${id}?`;
  return { path: ["registries", id], message: "is not a valid id for a registry", hint };
}

/** The built-in registry that somebody meant who wrote another id, and nothing of what registries of one's own need. */
export function misspeltBuiltIn({ id, builtIn, serves, upstream }: RegistryDraft): string | undefined {
  if (builtIn !== undefined || serves !== undefined || upstream !== undefined) return undefined;
  return nearest(
    id,
    BUILT_IN_REGISTRIES.map((one) => one.id),
  );
}

/** People know `dockerhub` by the name that images carry, `docker.io`. */
export function builtInServing(name: string): string | undefined {
  return BUILT_IN_REGISTRIES.find(({ serves, aliases }) => serves === name || aliases.includes(name))?.id;
}
