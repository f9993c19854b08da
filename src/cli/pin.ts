import { Command } from "commander";
import type { PinAnswer, PinsAnswer } from "../admin/api/answers.ts";
import { placeOf, type PlaceOptions, untilAsked, withPlace, writeJson } from "./cache-place.ts";
import { askCache } from "./control-client.ts";
import { CliError } from "./failure.ts";
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
    .argument("<images...>", "as `registry-cache pin --list` prints them")
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
  const pins = await each(terminal, images, options, { method: "PUT", body });
  if (options.json === true) writeJson(terminal, { pins });
  else terminal.out.write(pins.map(pinnedLine).join(""));
  return 0;
}

function pinnedLine({ image, isHold, isHeld }: PinAnswer): string {
  const fetched = isHeld === false ? " (not held: the next pull fetches it)" : "";
  return `${isHold ? "held" : "pinned"}: ${printable(image)}${fetched}\n`;
}

async function unpinned(terminal: Terminal, images: readonly string[], options: PinOptions): Promise<ExitCode> {
  const pins = await each(terminal, images, options, { method: "DELETE" });
  if (options.json === true) writeJson(terminal, { pins });
  else terminal.out.write(pins.map(({ image }) => `pinned no longer: ${printable(image)}\n`).join(""));
  return 0;
}

async function each(
  terminal: Terminal,
  images: readonly string[],
  options: PinOptions,
  how: { readonly method: "PUT" | "DELETE"; readonly body?: object },
): Promise<readonly PinAnswer[]> {
  const place = await placeOf(terminal, options);
  const signal = untilAsked(terminal);
  const pins: PinAnswer[] = [];
  for (const image of images) {
    const path = `/api/v1/pins/${encodeURIComponent(image)}`;
    pins.push((await askCache(place, { ...how, path, signal })) as PinAnswer);
  }
  return pins;
}
