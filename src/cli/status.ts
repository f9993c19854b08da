import { Command } from "commander";
import { withPlace } from "./cache-place.ts";
import type { StatusOptions } from "./status-run.ts";
import type { Invocation } from "./terminal.ts";

export function statusCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("status")
    .summary("show what the running cache holds and does")
    .description("Show what the running cache holds, has served and does now, and how its upstreams are.")
    .option("-w, --watch", "go on showing it, until Ctrl+C")
    .option("--json", "print JSON; with --watch one line a second");
  return withPlace(command)
    .addHelpText("after", HELP)
    .action(async (_options: unknown, self: Command) => {
      // Here and not above: the other commands need none of it.
      const { status } = await import("./status-run.ts");
      exit(await status(terminal, self.optsWithGlobals<StatusOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache status
  $ registry-cache status --watch
  $ registry-cache status --server https://cache.example.com --json`;
