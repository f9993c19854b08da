import { Command } from "commander";
import type { HistoryAnswer, ImageAnswer } from "../admin/api/answers.ts";
import { placeOf, type PlaceOptions, untilAsked, withPlace, writeJson } from "./cache-place.ts";
import { askCache } from "./control-client.ts";
import type { Invocation } from "./terminal.ts";

interface ShowOptions extends PlaceOptions {
  readonly json?: boolean;
}

export function showCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("show")
    .summary("show one held image: its tags, platforms, sizes and pulls")
    .description("Show what the running cache knows of one image.")
    .argument("<image>", "such as nginx:1.27 or ghcr.io/org/app@sha256:...")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", "\nExample:\n  $ registry-cache show nginx:1.27")
    .action(async (image: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<ShowOptions>();
      const path = `/api/v1/images/${encodeURIComponent(image)}`;
      const place = await placeOf(terminal, options);
      const answer = (await askCache(place, { method: "GET", path, signal: untilAsked(terminal) })) as ImageAnswer;
      const { imageText } = await import("./show-text.ts");
      if (options.json === true) writeJson(terminal, answer);
      else terminal.out.write(imageText(answer, Date.now()));
      exit(0);
    });
}

export function historyCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("history")
    .summary("show where a tag points, and has pointed")
    .description("Show where a tag points, and has pointed, as far as the running cache has seen it.")
    .argument("<image>", "such as nginx:latest")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", HISTORY_HELP)
    .action(async (image: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<ShowOptions>();
      const path = `/api/v1/history/${encodeURIComponent(image)}`;
      const place = await placeOf(terminal, options);
      const answer = (await askCache(place, { method: "GET", path, signal: untilAsked(terminal) })) as HistoryAnswer;
      const { historyText } = await import("./show-text.ts");
      if (options.json === true) writeJson(terminal, answer);
      else terminal.out.write(historyText(answer, Date.now()));
      exit(0);
    });
}

const HISTORY_HELP = `
Example:
  $ registry-cache history nginx:latest
  $ registry-cache pin nginx:latest@sha256:...        # go back to one of them`;
