import type { StatusAnswer } from "../admin/api/answers.ts";
import { placeOf, type PlaceOptions, untilAsked, writeJson } from "./cache-place.ts";
import { askCache, type CachePlace, eventsOfCache } from "./control-client.ts";
import { CliError } from "./failure.ts";
import { widthOf } from "./ls-run.ts";
import { Screen } from "./screen.ts";
import { statusLine, statusLines } from "./status-text.ts";
import type { ExitCode, Terminal } from "./terminal.ts";

export interface StatusOptions extends PlaceOptions {
  readonly watch?: boolean;
  readonly json?: boolean;
}

/** Elsewhere than on a terminal a line comes so seldom. */
const PLAIN_EVERY_MS = 10_000;

/** What `registry-cache status` does. */
export async function status(terminal: Terminal, options: StatusOptions): Promise<ExitCode> {
  const place = await placeOf(terminal, options);
  const signal = untilAsked(terminal, GIVEN_UP);
  if (options.watch === true) return await watched(terminal, place, options, signal);
  const answer = (await askCache(place, { method: "GET", path: "/api/v1/status", signal })) as StatusAnswer;
  if (options.json === true) writeJson(terminal, answer);
  else
    terminal.out.write(
      statusLines(answer, { width: widthOf(terminal) })
        .map((line) => `${line}\n`)
        .join(""),
    );
  return 0;
}

const GIVEN_UP = "stopped";

async function watched(
  terminal: Terminal,
  place: CachePlace,
  { json }: StatusOptions,
  signal: AbortSignal,
): Promise<ExitCode> {
  const screen = json !== true && terminal.out.isTerminal ? new Screen(terminal.out) : undefined;
  let toldAtMs = -Infinity;
  screen?.open();
  try {
    for await (const { type, data } of eventsOfCache(place, { path: "/api/v1/events?types=status", signal })) {
      if (type !== "status") continue;
      const now = data as StatusAnswer;
      if (json === true) terminal.out.write(`${JSON.stringify(now)}\n`);
      else if (screen !== undefined) screen.show((paper) => statusLines(now, paper));
      else if (performance.now() - toldAtMs >= PLAIN_EVERY_MS) {
        toldAtMs = performance.now();
        terminal.out.write(`${statusLine(now)}\n`);
      }
    }
  } catch (error) {
    // Ctrl+C is how it ends.
    if (!(signal.aborted && error instanceof CliError && error.message === GIVEN_UP)) throw error;
    return 0;
  } finally {
    screen?.close();
  }
  throw new CliError("the cache was stopped");
}
