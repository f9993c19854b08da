import { parseDigest, type Digest } from "./digest.ts";
import {
  parseRepositoryName,
  parseTag,
  type Repository,
  type RepositoryName,
  repositoryPath,
  type Tag,
} from "./reference.ts";

/** What must be known of a registry to tell whose an image is. */
export interface NamedRegistry {
  readonly id: string;
  readonly serves: string;
  readonly aliases: readonly string[];
  readonly libraryPrefix: boolean;
}

/** What an image is called, as far as its name says so. */
export interface ImageName {
  readonly repository: Repository;
  readonly tag: Tag | undefined;
  readonly digest: Digest | undefined;
}

/** `bad`: no image can be called so; `unknown`: of a registry that is not configured. */
export type NameProblem = { readonly problem: "bad" } | { readonly problem: "unknown"; readonly host: string };

/** Longer ones are no names, whatever they are. */
const NAME_LENGTH_MAX = 1_024;
const HUB = "docker.io";
/** What is meant where nothing is said. */
export const DEFAULT_TAG = "latest" as Tag;

/** `nginx`, `docker.io/library/nginx:1.27`, `ghcr.io/org/app@sha256:...`: as clients read such names. */
export function parseImageName(text: string, registries: readonly NamedRegistry[]): ImageName | NameProblem {
  if (text.length > NAME_LENGTH_MAX) return { problem: "bad" };
  const [named = "", digestText, ...more] = text.split("@");
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  if (more.length > 0 || (digestText !== undefined && digest === undefined)) return { problem: "bad" };
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon === -1 ? undefined : parseTag(named.slice(colon + 1));
  if (colon !== -1 && tag === undefined) return { problem: "bad" };
  const { host, path } = splitHost(colon === -1 ? named : named.slice(0, colon));
  const registry = registries.find(({ serves, aliases }) => serves === host || aliases.includes(host));
  if (registry === undefined) return isHost(host) ? { problem: "unknown", host } : { problem: "bad" };
  const name = nameAt(registry, path);
  if (name === undefined) return { problem: "bad" };
  return { repository: { registryId: registry.id, serves: registry.serves, name }, tag, digest };
}

/** What is said of a text that no image can be called. */
export function noImageText(text: string): string {
  if (/@sha256:[0-9a-f]{4,63}$/.test(text)) return "the digest is cut short: `registry-cache ls --json` has it whole";
  return "no image can be called so";
}

/** The whole name, such as `docker.io/library/nginx:1.27`: the same for all ways to write it. */
export function imageNameText({ repository, tag, digest }: ImageName): string {
  const which = digest === undefined ? `:${tag ?? DEFAULT_TAG}` : `@${digest}`;
  return `${repositoryPath(repository)}${which}`;
}

/** A registry's repository of that name, undefined where there can be none. */
export function repositoryOf(registry: NamedRegistry, path: string): Repository | undefined {
  const name = parseRepositoryName(path);
  return name === undefined ? undefined : { registryId: registry.id, serves: registry.serves, name };
}

/** Whether a name's first component is a registry's name, by the rule that clients have. */
export function isHost(component: string): boolean {
  return (component.includes(".") || component.includes(":") || component === "localhost") && HOST.test(component);
}

const HOST = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?$/;

function splitHost(named: string): { host: string; path: string } {
  const slash = named.indexOf("/");
  const first = slash === -1 ? "" : named.slice(0, slash);
  return isHost(first) ? { host: first, path: named.slice(slash + 1) } : { host: HUB, path: named };
}

function nameAt({ libraryPrefix }: NamedRegistry, path: string): RepositoryName | undefined {
  return parseRepositoryName(libraryPrefix && !path.includes("/") ? `library/${path}` : path);
}
