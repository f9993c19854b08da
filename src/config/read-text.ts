import type { Problem } from "./errors.ts";
import type { NamedFile } from "./files.ts";
import { idFinding } from "./ids.ts";
import { type Finding, findingsOf } from "./issues.ts";
import { draftRegistries, type RegistryDraft } from "./registries.ts";
import { type RegistryInput, registrySchema, type TopInput, topSchema } from "./schema.ts";
import { parseYaml, pathText, type YamlText } from "./yaml-text.ts";

/** What the file says, as far as it can be understood. */
export interface ConfigText {
  readonly top: TopInput;
  readonly drafts: readonly RegistryDraft[];
  /** Ids whose entries could not be read; a built-in one among them is drafted as if the file did not mention it. */
  readonly brokenIds: ReadonlySet<string>;
  readonly problems: readonly Problem[];
  readonly problem: (finding: Finding) => Problem;
}

/** @throws ConfigError where the text is not even YAML */
export function readConfigText(file: NamedFile | undefined): ConfigText {
  const yaml = file === undefined ? NO_FILE : parseYaml(file.bytes, file.name);
  const findings: Finding[] = [];
  const parsed = topSchema.safeParse(yaml.value, { reportInput: true });
  if (!parsed.success) findings.push(...findingsOf(parsed.error.issues, []));
  const inputs = new Map<string, RegistryInput>();
  const brokenIds = new Set<string>();
  for (const [id, entry] of registryEntries(yaml.value)) {
    const wrongId = idFinding(id);
    if (wrongId !== undefined) findings.push(wrongId);
    const registry = registrySchema.safeParse(entry, { reportInput: true });
    if (!registry.success) findings.push(...findingsOf(registry.error.issues, ["registries", id]));
    if (registry.success && wrongId === undefined) inputs.set(id, registry.data);
    else brokenIds.add(id);
  }
  return {
    top: parsed.data ?? topOfBroken(yaml.value),
    drafts: draftRegistries(inputs),
    brokenIds,
    problems: findings.map(yaml.problem),
    problem: yaml.problem,
  };
}

/** Whatever else is wrong, the default that was chosen is needed to judge the registries. */
function topOfBroken(value: unknown): TopInput {
  const id = isMapping(value) ? value["default_registry"] : undefined;
  return typeof id === "string" ? { default_registry: id } : {};
}

/** Taken from the raw value, for something else at the top may be wrong. */
function registryEntries(value: unknown): [id: string, entry: unknown][] {
  const registries = isMapping(value) ? value["registries"] : undefined;
  return isMapping(registries) ? Object.entries(registries) : [];
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const NO_FILE: YamlText = {
  value: null,
  problem: ({ path, message, hint }) => ({
    file: undefined,
    line: undefined,
    column: undefined,
    path: pathText(path),
    message,
    hint,
  }),
};
