import type { Logger } from "pino";
import type { NamedRegistry } from "../../oci/image-name.ts";
import { ownText, replaceOwnText } from "../own-text.ts";
import {
  type CompiledPin,
  compilePin,
  parsePins,
  type Pin,
  type PinnedImage,
  type PinsText,
  withoutPins,
  withPin,
} from "./pin-list.ts";

export type { Pin, PinnedImage } from "./pin-list.ts";

/** Users' settings, which the catalog must not hold. */
export const PINS_FILE = "pins.txt";
const NOTE_LENGTH_MAX = 500;

/** There would be more pins than are looked through. */
export class PinsFullError extends Error {
  override readonly name = "PinsFullError";
}

export interface PinsOptions {
  /** The file that holds them. */
  readonly path: string;
  /** Those of the configuration: globs over images. */
  readonly configured: readonly string[];
  readonly registries: readonly NamedRegistry[];
  readonly log: Pick<Logger, "warn">;
}

/** Where a pin stands. */
export type ListedPin = Pin & { readonly from: "file" | "configuration" };

/** What is never evicted, by the configuration and by the file in the data folder, which may be changed by hand. */
export class Pins {
  readonly #o: PinsOptions;
  readonly #configured: readonly CompiledPin[];
  #read: { readonly text: string; readonly parsed: PinsText } | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: PinsOptions) {
    this.#o = options;
    this.#configured = options.configured.map((glob) => compilePin(glob, options.registries));
  }

  async list(): Promise<readonly ListedPin[]> {
    const { pins } = await this.#parsed();
    const shown = (from: ListedPin["from"]) => (pin: Pin) => ({ reference: pin.reference, note: pin.note, from });
    return [...this.#configured.map(shown("configuration")), ...pins.map(shown("file"))];
  }

  /**
   * Says how the pin stands in the list. Rejects with a `ValueError` for what is no image and no pattern, and with a
   * `PinsFullError`.
   */
  async add(reference: string, note?: string): Promise<Pin> {
    const { registries } = this.#o;
    const pin = compilePin(reference, registries, note?.slice(0, NOTE_LENGTH_MAX));
    await this.#changed((before) => {
      const text = withPin(before, pin, registries);
      if (text === undefined) throw new PinsFullError("the list of pins is full");
      return text;
    });
    return { reference: pin.reference, note: pin.note };
  }

  /** Says which of them were there; those of the configuration stay. */
  async remove(references: readonly string[]): Promise<readonly string[]> {
    const { registries } = this.#o;
    const wanted = references.map((one) => compilePin(one, registries).reference);
    let removed: readonly string[] = [];
    await this.#changed((before) => {
      const known = new Set(before.pins.map(({ reference }) => reference));
      removed = wanted.filter((reference) => known.has(reference));
      return withoutPins(before, new Set(removed), registries);
    });
    return removed;
  }

  /** As they are now. Rejects where the file cannot be read: then nobody knows what must stay. */
  async now(): Promise<PinsNow> {
    const { pins } = await this.#parsed();
    return new PinsNow([...this.#configured, ...pins]);
  }

  async #parsed(): Promise<PinsText> {
    const text = await ownText(this.#o.path);
    if (this.#read?.text === text) return this.#read.parsed;
    const parsed = parsePins(text, this.#o.registries);
    if (parsed.badLines.length > 0)
      this.#o.log.warn({ file: this.#o.path, lines: parsed.badLines.slice(0, 10) }, UNREADABLE_LINES);
    this.#read = { text, parsed };
    return parsed;
  }

  /** One change after the other. */
  async #changed(change: (before: PinsText) => string): Promise<void> {
    const changing = this.#writing.then(async () => await replaceOwnText(this.#o.path, change(await this.#parsed())));
    this.#writing = changing.catch(() => undefined);
    await changing;
  }
}

const UNREADABLE_LINES = "lines of the pins cannot be read, and pin nothing";

/** Pins as they were at one moment. */
export class PinsNow {
  readonly #pins: readonly CompiledPin[];

  constructor(pins: readonly CompiledPin[]) {
    this.#pins = pins;
  }

  /** Whether any pin is about the repository at all. */
  concern(path: string): boolean {
    return this.#pins.some((pin) => pin.isAbout(path));
  }

  isPinned(image: PinnedImage): boolean {
    return this.pinOf(image) !== undefined;
  }

  /** The first pin that keeps it, as it stands in the list. */
  pinOf(image: PinnedImage): string | undefined {
    return this.#pins.find((pin) => pin.matches(image))?.reference;
  }

  /** Tags that are held at a digest: by `docker.io/library/nginx:1.27`. */
  holds(): ReadonlyMap<string, NonNullable<CompiledPin["hold"]>> {
    const holds = this.#pins.flatMap(({ hold }) => (hold === undefined ? [] : [hold]));
    return new Map(holds.map((hold) => [`${hold.path}:${hold.tag}`, hold]));
  }
}
