import { setTimeout as pause } from "node:timers/promises";
import { Command, InvalidArgumentError } from "commander";
import { parseSize } from "../lib/units.ts";
import { placeOf, type PlaceOptions, untilAsked, withPlace, writeJson } from "./cache-place.ts";
import { askCache, type CachePlace } from "./control-client.ts";
import { CliError } from "./failure.ts";
import { Progress, Rate } from "./progress.ts";
import type { ScrubAnswer } from "../admin/api/answers.ts";
import { isOver, scrubLine, scrubText } from "./scrub-text.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

const PATH = "/api/v1/scrub";
/** How often the cache is asked how far it is. */
const ASK_EVERY_MS = 500;
const RATE_MIN = 1024;

interface ScrubOptions extends PlaceOptions {
  readonly rate?: number;
  readonly wait?: boolean;
  readonly status?: boolean;
  readonly stop?: boolean;
  readonly json?: boolean;
}

export function scrubCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("scrub")
    .summary("hash all that is stored, and fetch anew what is damaged")
    .description(
      "Hash all that is stored, beside the pulls. What is damaged is taken away and fetched anew from its registry.",
    )
    .option("--rate <size>", "read so much a second at most (default: 50MiB)", asRate)
    .option("--wait", "show how far it is, and end when it does")
    .option("--status", "only say how far it is, or when it was")
    .option("--stop", "stop it; the next one goes on from there")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", HELP)
    .action(async (_options: unknown, self: Command) => {
      exit(await scrub(terminal, self.optsWithGlobals<ScrubOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache scrub --rate 20MiB --wait
  $ registry-cache scrub --status

It goes on when the cache is started anew. The exit code is 1 where something damaged could not be fetched anew.`;

async function scrub(terminal: Terminal, options: ScrubOptions): Promise<ExitCode> {
  const { rate, wait, status, stop } = options;
  if ([wait, status, stop].filter((one) => one === true).length > 1)
    throw new CliError("--wait, --status and --stop: only one of them", { exitCode: 2 });
  if (rate !== undefined && (status === true || stop === true))
    throw new CliError("--rate is for a scrub that begins", { exitCode: 2 });
  const place = await placeOf(terminal, options);
  const signal = untilAsked(terminal, "no longer shown; the scrub goes on (registry-cache scrub --stop ends it)");
  const ask = async (method: "GET" | "POST" | "DELETE", body?: object) =>
    (await askCache(place, { method, path: PATH, ...(body === undefined ? {} : { body }), signal })) as ScrubAnswer;
  if (status === true) return told(terminal, options, await ask("GET"));
  if (stop === true) return told(terminal, options, await ask("DELETE"));
  const isUnderWay = wait === true && rate === undefined && (await ask("GET")).isRunning;
  const begun = isUnderWay ? undefined : await ask("POST", rate === undefined ? {} : { bytesPerSecond: rate });
  if (wait !== true) return told(terminal, options, begun as ScrubAnswer);
  const last = await followed(terminal, place, signal);
  const exitCode = told(terminal, options, last);
  return isOver(last) ? exitCode : 1;
}

function told(terminal: Terminal, { json }: ScrubOptions, state: ScrubAnswer): ExitCode {
  if (json === true) writeJson(terminal, state);
  else terminal.out.write(scrubText(state));
  return state.damaged > state.healed ? 1 : 0;
}

/** Until it is over, or was stopped. */
async function followed(terminal: Terminal, place: CachePlace, signal: AbortSignal): Promise<ScrubAnswer> {
  const look = async () => (await askCache(place, { method: "GET", path: PATH, signal })) as ScrubAnswer;
  let state = await look();
  const rate = new Rate();
  const progress = new Progress(terminal.err, () => [scrubLine(state, rate.at(performance.now(), state.bytesDone))]);
  progress.start();
  try {
    while (state.isRunning) {
      await pause(ASK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      state = await look();
    }
    return state;
  } finally {
    progress.stop();
  }
}

function asRate(value: string): number {
  let bytes: number;
  try {
    bytes = parseSize(value.replace(/\/s$/, ""));
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : "It must be a size.");
  }
  if (bytes >= RATE_MIN) return bytes;
  throw new InvalidArgumentError("It must be at least 1KiB a second.");
}
