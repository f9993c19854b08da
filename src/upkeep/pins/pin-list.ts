import { compileImageGlob } from "../../lib/glob.ts";
import { ValueError } from "../../lib/value-error.ts";
import type { Digest } from "../../oci/digest.ts";
import { imageNameText, type NamedRegistry, noImageText, parseImageName } from "../../oci/image-name.ts";
import { repositoryPath, type Tag } from "../../oci/reference.ts";
import { isBlank, listText, parseList } from "../own-text.ts";

/** Lines; more would be looked through for each image that could go. */
export const PINS_MAX = 1_000;
const LINE_LENGTH_MAX = 2_000;

/** Something that is never evicted. */
export interface Pin {
  /** `docker.io/library/nginx:1.27`, `...@sha256:...`, `...:1.27@sha256:...`, or a glob such as `ghcr.io/org/**:v*`. */
  readonly reference: string;
  readonly note?: string | undefined;
}

/** What a pin is compared with: an image, with all that would leave with it. */
export interface PinnedImage {
  /** `docker.io/library/nginx`. */
  readonly path: string;
  readonly tags: readonly Tag[];
  readonly digests: readonly Digest[];
}

export interface CompiledPin extends Pin {
  /** Whether it may be about images of the repository at all. */
  readonly isAbout: (path: string) => boolean;
  readonly matches: (image: PinnedImage) => boolean;
  /** Where it holds a tag at a digest. */
  readonly hold?: { readonly path: string; readonly tag: Tag; readonly digest: Digest } | undefined;
}

/** The file as it is, lines of people's own included. */
export interface PinsText {
  readonly lines: readonly string[];
  readonly pins: readonly CompiledPin[];
  /** Lines that cannot be read, counted from 1; they pin nothing. */
  readonly badLines: readonly number[];
}

const HEAD = [
  "# Images that are never evicted, one a line: docker.io/library/nginx:1.27, a digest with @sha256:..., a tag that is held at",
  "# a digest with :1.27@sha256:..., or a pattern such as ghcr.io/org/**:v*. What stands behind # is a note.",
];

/** Reads `REFERENCE-OR-GLOB [# note]`, one a line; a line that begins with `#` is a comment. */
export function parsePins(text: string, registries: readonly NamedRegistry[]): PinsText {
  const { lines, entries: pins, badLines } = parseList(text, PINS_MAX, (line) => readLine(line, registries));
  return { lines, pins, badLines };
}

/** The file with this pin in it; one that is there already gets the new note. Undefined where that would be too many. */
export function withPin(before: PinsText, pin: Pin, registries: readonly NamedRegistry[]): string | undefined {
  const kept = before.lines.filter((line) => readLine(line, registries)?.reference !== pin.reference);
  const lines = [...(kept.length === 0 ? HEAD : kept), lineOf(pin)];
  const isFull = before.pins.filter(({ reference }) => reference !== pin.reference).length >= PINS_MAX;
  return isFull ? undefined : listText(lines);
}

/** The file without these. */
export function withoutPins(
  before: PinsText,
  references: ReadonlySet<string>,
  registries: readonly NamedRegistry[],
): string {
  return listText(before.lines.filter((line) => !references.has(readLine(line, registries)?.reference ?? "")));
}

/**
 * Reads what is pinned, in whichever way it is written, and gives it as it stands in the file.
 *
 * @throws ValueError
 */
export function compilePin(reference: string, registries: readonly NamedRegistry[], note?: string): CompiledPin {
  // In the file it would be a comment.
  if (reference.includes("#"))
    throw new ValueError(`"${reference}" is no image`, "such as docker.io/library/nginx:1.27");
  if (/[*?[\]{}]/.test(reference)) return compileGlobPin(reference, note);
  const name = parseImageName(reference, registries);
  if ("problem" in name) {
    // It may be of a registry that is switched off, whose images are held still.
    if (name.problem === "unknown" && !reference.includes("@")) return compileGlobPin(reference, note);
    throw new ValueError(
      `"${reference}" is no image: ${noImageText(reference)}`,
      "such as docker.io/library/nginx:1.27",
    );
  }
  const { repository, tag, digest } = name;
  const path = repositoryPath(repository);
  const isAbout = (other: string) => other === path;
  const whole = tag === undefined && digest === undefined;
  const held = tag === undefined ? "" : `:${tag}`;
  return {
    reference: whole ? path : digest === undefined ? imageNameText(name) : `${path}${held}@${digest}`,
    note,
    isAbout,
    matches: (image) =>
      isAbout(image.path) &&
      (whole ||
        (digest !== undefined && image.digests.includes(digest)) ||
        (tag !== undefined && image.tags.includes(tag))),
    hold: tag === undefined || digest === undefined ? undefined : { path, tag, digest },
  };
}

function compileGlobPin(reference: string, note: string | undefined): CompiledPin {
  const matches = compileImageGlob(reference);
  const colon = reference.indexOf(":", reference.lastIndexOf("/") + 1);
  const ofPath = colon === -1 ? matches : compileImageGlob(reference.slice(0, colon));
  const isAbout = (path: string) => ofPath(path, undefined);
  return {
    reference,
    note,
    isAbout,
    matches: ({ path, tags }) => (colon === -1 ? isAbout(path) : tags.some((tag) => matches(path, tag))),
  };
}

function readLine(line: string, registries: readonly NamedRegistry[]): CompiledPin | undefined {
  if (isBlank(line) || line.length > LINE_LENGTH_MAX) return undefined;
  const [, reference = "", note] = /^\s*(\S+)\s*(?:\s#\s*(.*?)\s*)?$/.exec(line) ?? [];
  try {
    return compilePin(reference, registries, note === "" ? undefined : note);
  } catch (error) {
    if (error instanceof ValueError) return undefined;
    throw error;
  }
}

function lineOf({ reference, note }: Pin): string {
  const words = note?.replaceAll(/\s+/g, " ").trim() ?? "";
  return words === "" ? reference : `${reference} # ${words}`;
}
