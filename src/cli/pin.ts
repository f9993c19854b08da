import { Command } from "commander";
import type { PinAnswer, PinsAnswer } from "../admin/api/answers.ts";
import { placeOf, type PlaceOptions, untilAsked, withPlace, writeJson } from "./cache-place.ts";
import { askCache, RefusedError } from "./control-client.ts";
import { CliError, errorText } from "./failure.ts";
import { pinsText } from "./evict-text.ts";
import { printable } from "../lib/printable.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface PinOptions extends PlaceOptions {
  readonly note?: string;
  readonly list?: boolean;
  readonly json?: boolean;
}

export function pinCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("pin")
    .summary("never evict images, or hold a tag at a digest")
    .description("Have the running cache never evict images, or hold a tag at a digest whatever its registry says.")
    .argument("[images...]", "images, globs over images, or tags with the digest at which they are held")
    .option("--note <text>", "why, for people")
    .option("--list", "print what is pinned")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", HELP)
    .action(async (images: string[], _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<PinOptions>();
      exit(options.list === true ? await listed(terminal, options) : await pinned(terminal, images, options));
    });
}

const HELP = `
Example:
  $ registry-cache pin nginx:1.27 'ghcr.io/org/**:v*' --note "production"
  $ registry-cache pin nginx:latest@sha256:...        # the tag leads there until it is unpinned
  $ registry-cache pin --list`;

export function unpinCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("unpin")
    .summary("pin images no longer, or let a tag move again")
    .description("Take pins back: images may be evicted again, and a tag that was held leads where its registry says.")
    .argument("<images...>", "as `registry-cache pin --list` prints them; of a tag that is held, the tag is enough")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", "\nExample:\n  $ registry-cache unpin nginx:1.27")
    .action(async (images: string[], _options: unknown, self: Command) => {
      exit(await unpinned(terminal, images, self.optsWithGlobals<PinOptions>()));
    });
}

async function listed(terminal: Terminal, options: PinOptions): Promise<ExitCode> {
  const place = await placeOf(terminal, options);
  const question = { method: "GET", path: "/api/v1/pins", signal: untilAsked(terminal) } as const;
  const answer = (await askCache(place, question)) as PinsAnswer;
  if (options.json === true) writeJson(terminal, answer);
  else terminal.out.write(pinsText(answer));
  return 0;
}

async function pinned(terminal: Terminal, images: readonly string[], options: PinOptions): Promise<ExitCode> {
  if (images.length === 0) {
    const hint = "name images: registry-cache pin nginx:1.27; --list prints what is pinned";
    throw new CliError("there is nothing to pin", { hint, exitCode: 2 });
  }
  const body = options.note === undefined ? {} : { note: options.note };
  return await each(terminal, images, options, { method: "PUT", body }, pinnedLine);
}

function pinnedLine({ image, isHold, isHeld, unconfirmed }: PinAnswer): string {
  if (isHold) return `tag held: ${printable(image)}${fetchedText(isHeld, unconfirmed)}\n`;
  const isWhole = !/[*?[\]{}@]|:[^/]*$/.test(image);
  const none = isHeld === false ? " (nothing that is held fits: is it spelled right?)" : "";
  return `pinned: ${isWhole ? "all of " : ""}${printable(image)}${none}\n`;
}

/** What a tag is held at may have to come first. */
function fetchedText(isHeld: boolean | undefined, unconfirmed: string | undefined): string {
  if (isHeld !== false) return "";
  if (unconfirmed === undefined) return "; it is not in the store yet, the next pull fetches it";
  return `; it is not in the store, and upstream could not be asked whether it has it (${printable(unconfirmed)})`;
}

async function unpinned(terminal: Terminal, images: readonly string[], options: PinOptions): Promise<ExitCode> {
  return await each(terminal, images, options, { method: "DELETE" }, unpinnedLine);
}

function unpinnedLine({ image }: PinAnswer): string {
  return `pinned no longer: ${printable(image)}\n`;
}

/** One after the other; what comes of each is told, also where others cannot be done. */
async function each(
  terminal: Terminal,
  images: readonly string[],
  options: PinOptions,
  how: { readonly method: "PUT" | "DELETE"; readonly body?: object },
  lineOf: (pin: PinAnswer) => string,
): Promise<ExitCode> {
  const place = await placeOf(terminal, options);
  const signal = untilAsked(terminal);
  const pins: PinAnswer[] = [];
  let failed = 0;
  try {
    for (const image of images) {
      const path = `/api/v1/pins/${encodeURIComponent(image)}`;
      const pin = await askCache(place, { ...how, path, signal }).catch((error: unknown) => {
        if (images.length === 1 || !(error instanceof RefusedError)) throw error;
        terminal.err.write(errorText(error.message, error.hint));
        failed += 1;
      });
      if (pin === undefined) continue;
      pins.push(pin as PinAnswer);
      if (options.json !== true) terminal.out.write(lineOf(pin as PinAnswer));
    }
  } finally {
    if (options.json === true && pins.length > 0) writeJson(terminal, { pins });
  }
  return failed > 0 ? 1 : 0;
}
