import { parseAllDocuments } from "yaml";
import { interpolate } from "./interpolate.ts";

/** An image that a file names. */
export interface FoundReference {
  readonly reference: string;
  /** What in the file names it: a service, `Deployment web`, a line. */
  readonly by: string;
}

export interface FoundReferences {
  readonly kind: "Compose file" | "Kubernetes manifests" | "list";
  readonly references: readonly FoundReference[];
  /** What names an image that cannot be told, and why. */
  readonly problems: readonly string[];
}

/** The file is none of the three; why. */
export class ReferencesError extends Error {
  override readonly name = "ReferencesError";
}

/** Files of people; a Helm chart's output has a few hundred kilobytes. */
export const REFERENCES_BYTES_MAX = 16 * 1024 * 1024;
/** Manifests are not deeper; what is made to be is passed over. */
const DEPTH_MAX = 50;
/** With variables and their defaults in it; a name that is longer no registry has. */
const WRITTEN_LENGTH_MAX = 4_096;

type Mapping = Readonly<Record<string, unknown>>;

/** The images that a Compose file, Kubernetes manifests or a plain list name, each once. */
export function referencesIn(text: string, variables: Readonly<Record<string, string | undefined>>): FoundReferences {
  const documents = documentsOf(text);
  const mappings = documents?.filter(isMapping) ?? [];
  const compose = mappings.filter((one) => isMapping(one["services"]) && one["kind"] === undefined);
  if (compose.length > 0) return inCompose(compose, variables);
  const manifests = mappings.filter((one) => typeof one["kind"] === "string");
  if (manifests.length > 0) return inManifests(manifests);
  if (mappings.length > 0)
    throw new ReferencesError("it is neither a Compose file (`services`) nor Kubernetes manifests (`kind`)");
  return inList(text);
}

/** Undefined where it is no YAML, as most lists are none. */
function documentsOf(text: string): unknown[] | undefined {
  const documents = parseAllDocuments(text, { logLevel: "silent", merge: true });
  if (!Array.isArray(documents)) return [];
  const broken = documents.find(({ errors }) => errors.length > 0);
  try {
    if (broken === undefined) return documents.map((one): unknown => one.toJS());
    // With a key of theirs in it, it was meant to be one of them.
    if (!/^[ \t]*(?:services|kind|apiVersion)[ \t]*:/m.test(text)) return undefined;
  } catch (error) {
    throw new ReferencesError(`it is no YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const [error] = broken.errors;
  throw new ReferencesError(`it is no YAML: ${error?.message.split("\n")[0]?.replace(/:$/, "") ?? "it is broken"}`);
}

// ---- Compose

function inCompose(
  documents: readonly Mapping[],
  variables: Readonly<Record<string, string | undefined>>,
): FoundReferences {
  const problems: string[] = [];
  const found: FoundReference[] = [];
  const add = (written: unknown, by: string): void => {
    if (typeof written !== "string") return;
    if (written.length > WRITTEN_LENGTH_MAX) {
      problems.push(`${by}: ${written.slice(0, 100)}...: too long for an image's name`);
      return;
    }
    const { text, missing } = interpolate(written, variables);
    if (missing.length > 0) problems.push(`${by}: ${written}: ${missing.join(", ")} is not set`);
    else if (text !== "") found.push({ reference: text, by });
  };
  for (const { services } of documents) {
    for (const [name, service] of Object.entries(services as Mapping)) {
      if (!isMapping(service)) continue;
      // Compose builds it: what stands in `image` is the name of the result.
      if (service["build"] === undefined) add(service["image"], name);
      for (const volume of listOf(service["volumes"]))
        if (isMapping(volume) && volume["type"] === "image") add(volume["source"], `${name}'s volume`);
    }
  }
  return { kind: "Compose file", references: unique(found), problems };
}

// ---- Kubernetes

const CONTAINERS = ["containers", "initContainers", "ephemeralContainers"] as const;

/** Wherever pods are described, in whatever kind: lists, workloads, jobs of jobs, resources of others' making. */
function inManifests(documents: readonly Mapping[]): FoundReferences {
  const found: FoundReference[] = [];
  const seen = new Set<unknown>();
  for (const document of documents) walk(document, nameOf(document), { depth: 0, seen }, found);
  return { kind: "Kubernetes manifests", references: unique(found), problems: [] };
}

interface Walk {
  readonly depth: number;
  /** What stands behind aliases is there once, however often it is named. */
  readonly seen: Set<unknown>;
}

function walk(value: unknown, by: string, { depth, seen }: Walk, found: FoundReference[]): void {
  if (typeof value !== "object" || depth > DEPTH_MAX || seen.has(value)) return;
  seen.add(value);
  const below = { depth: depth + 1, seen };
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) walk(item, by, below, found);
    return;
  }
  if (!isMapping(value)) return;
  const own = typeof value["kind"] === "string" && isMapping(value["metadata"]) ? nameOf(value) : by;
  for (const key of CONTAINERS)
    for (const one of listOf(value[key])) if (isMapping(one)) noteImage(one["image"], own, found);
  for (const volume of listOf(value["volumes"])) {
    const image = isMapping(volume) ? volume["image"] : undefined;
    if (isMapping(image)) noteImage(image["reference"], own, found);
  }
  for (const inner of Object.values(value)) walk(inner, own, below, found);
}

function noteImage(reference: unknown, by: string, found: FoundReference[]): void {
  if (typeof reference === "string" && reference.trim() !== "") found.push({ reference: reference.trim(), by });
}

function nameOf({ kind, metadata }: Mapping): string {
  const name = isMapping(metadata) && typeof metadata["name"] === "string" ? metadata["name"] : undefined;
  return name === undefined ? String(kind) : `${String(kind)} ${name}`;
}

// ---- a list

function inList(text: string): FoundReferences {
  const found: FoundReference[] = [];
  text.split(/\r?\n/).forEach((line, at) => {
    const reference = line.replace(/(^|\s)#.*$/, "").trim();
    if (reference === "") return;
    const by = `line ${at + 1}`;
    if (/\s/.test(reference)) throw new ReferencesError(`${by} is no image's name: ${reference.slice(0, 100)}`);
    found.push({ reference, by });
  });
  return { kind: "list", references: unique(found), problems: [] };
}

// ---- what all have

function unique(found: readonly FoundReference[]): FoundReference[] {
  return [...new Map(found.toReversed().map((one) => [one.reference, one])).values()].toReversed();
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
