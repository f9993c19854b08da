import { nearest } from "../lib/nearest.ts";
import { shown } from "../lib/units.ts";
import { builtInServing, misspeltBuiltIn } from "./ids.ts";
import type { Finding } from "./issues.ts";
import type { RegistryDraft } from "./registries.ts";

/** What single values cannot show: missing keys, names that two registries claim, rules that never apply, the default. */
export function crossCheck(drafts: readonly RegistryDraft[], defaultRegistry: string | undefined): Finding[] {
  return [
    ...drafts.flatMap((draft) => (draft.builtIn === undefined ? checkOwn(draft) : [])),
    ...drafts.flatMap(checkTagRules),
    ...drafts.flatMap(checkShared),
    ...checkClaims(drafts.flatMap(namesOf)),
    ...checkClaims(drafts.flatMap(hostnamesOf)),
    ...checkDefault(drafts, defaultRegistry),
  ];
}

export const DEFAULT_REGISTRY = "dockerhub";

function checkOwn(draft: RegistryDraft): Finding[] {
  const { id, serves, upstream } = draft;
  const path = ["registries", id];
  const missing = [serves === undefined ? "serves" : "", upstream === undefined ? "upstream" : ""].filter(
    (key) => key !== "",
  );
  if (missing.length === 0) return [];
  const near = misspeltBuiltIn(draft);
  const example = "such as `serves: registry.example.com` and `upstream: https://registry.example.com`";
  return [
    {
      path,
      message: `is not built in and has no ${missing.join(" and no ")}`,
      hint: near === undefined ? example : `did you mean ${shown(near)}?`,
    },
  ];
}

/** A list without its mode would share nothing, and the mode without a list would share everything or nothing: who knows. */
function checkShared({ id, input: { private_content: mode, shared, hostnames } }: RegistryDraft): Finding[] {
  const at = (key: string) => ["registries", id, key];
  if (mode === "shared" && (shared ?? []).length === 0) {
    const hint = 'write which repositories, such as `shared: ["org/**"]`';
    return [{ path: at("private_content"), message: "shares no repository", hint }];
  }
  if (mode === "pass_through" && (hostnames ?? []).length === 0) {
    const message = "needs a host name of its own, by which clients know whose credentials they send";
    return [{ path: at("private_content"), message, hint: `write \`hostnames: [${id}.cache.example.com]\` beside it` }];
  }
  if (mode !== "shared" && shared !== undefined) {
    return [{ path: at("shared"), message: "has no effect", hint: "write `private_content: shared` beside it" }];
  }
  return [];
}

function checkTagRules({ id, input }: RegistryDraft): Finding[] {
  const rules = input.tags ?? [];
  const catchAll = rules.findIndex(({ match }) => match === "*");
  if (catchAll === -1 || catchAll === rules.length - 1) return [];
  const path = ["registries", id, "tags", catchAll + 1];
  const hint = 'the first match wins: move the rule for "*" to the end';
  return [{ path, message: "never applies, for the rule above it matches every tag", hint }];
}

/** A name by which requests find a registry. */
interface Claim {
  readonly name: string;
  readonly id: string;
  readonly path: readonly PropertyKey[];
  /** Whether the user's file makes it. */
  readonly isOwn: boolean;
}

function namesOf({ id, builtIn, input, serves }: RegistryDraft): Claim[] {
  const path = ["registries", id, "serves"];
  const aliases = (builtIn?.aliases ?? []).map((name) => ({ name, id, path, isOwn: false }));
  return serves === undefined ? aliases : [{ name: serves, id, path, isOwn: input.serves !== undefined }, ...aliases];
}

function hostnamesOf({ id, input }: RegistryDraft): Claim[] {
  return (input.hostnames ?? []).map((name, index) => ({
    name,
    id,
    path: ["registries", id, "hostnames", index],
    isOwn: true,
  }));
}

function checkClaims(claims: readonly Claim[]): Finding[] {
  return [...Map.groupBy(claims, ({ name }) => name).values()].flatMap((same) => {
    const blamed = same.findLast(({ isOwn }) => isOwn) ?? same.at(-1);
    const other = same.find(({ id }) => id !== blamed?.id);
    if (blamed === undefined || other === undefined) return [];
    const hint = other.isOwn ? "a name leads to one registry" : `set what differs under registries.${other.id}`;
    return [{ path: blamed.path, message: `${shown(blamed.name)} already belongs to ${shown(other.id)}`, hint }];
  });
}

function checkDefault(drafts: readonly RegistryDraft[], defaultRegistry: string | undefined): Finding[] {
  const id = defaultRegistry ?? DEFAULT_REGISTRY;
  const found = drafts.find((draft) => draft.id === id);
  if (found?.isEnabled === true) return [];
  const enabled = drafts.filter(({ isEnabled }) => isEnabled).map((draft) => draft.id);
  if (found === undefined) {
    const near = builtInServing(id) ?? nearest(id, enabled);
    const hint = near === undefined ? `the enabled ones are ${enabled.join(", ")}` : `did you mean ${shown(near)}?`;
    return [{ path: ["default_registry"], message: `there is no registry ${shown(id)}`, hint }];
  }
  const path = defaultRegistry === undefined ? ["registries", id, "enabled"] : ["default_registry"];
  const [first] = enabled;
  const hint =
    first === undefined ? "enable at least one registry" : `write for example \`default_registry: ${first}\``;
  return [{ path, message: `the default registry ${shown(id)} is not enabled`, hint }];
}
