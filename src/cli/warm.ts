import { Command, InvalidArgumentError } from "commander";
import type { Invocation } from "./terminal.ts";
import { withPlace } from "./cache-place.ts";
import type { WarmCommandOptions } from "./warm-run.ts";

const CONCURRENCY_MAX = 32;

export function warmCommand({ terminal, exit }: Invocation): Command {
  return withPlace(new Command("warm"))
    .summary("pull images ahead of time, into the running cache")
    .description("Pull images ahead of time into the running cache, so that the first client finds them there.")
    .argument("[images...]", "images such as nginx:1.27 or ghcr.io/org/app@sha256:...")
    .option(
      "-f, --file <file>",
      "a Compose file, Kubernetes manifests, or a list with one image a line; - is standard input; may be repeated",
      collected,
    )
    .option(
      "--platform <platform>",
      "of images for several: such as linux/arm64, or all; by default this machine's; may be repeated",
      collected,
    )
    .option("--concurrency <number>", "images and blobs at once, up to 32 (default: 4)", asConcurrency)
    .option("--keep-fresh", "refresh them again and again from now on (keep_fresh_every)")
    .option("--list", "print what is kept fresh")
    .option("--forget", "keep these images fresh no longer; what is held stays")
    .option("--json", "print what happens as lines of JSON")
    .addHelpText("after", HELP)
    .action(async (images: string[], _options: unknown, command: Command) => {
      // Here and not above: the other commands need none of it.
      const { warm } = await import("./warm-run.ts");
      exit(await warm(terminal, images, command.optsWithGlobals<WarmCommandOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache warm nginx:1.27 ghcr.io/org/app:v1
  $ registry-cache warm -f compose.yaml --platform linux/amd64 --platform linux/arm64
  $ kubectl get pods -A -o yaml | registry-cache warm -f - --keep-fresh

The exit code is 1 where an image could not be had. Ctrl+C ends it; what has come stays.`;

function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function asConcurrency(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= CONCURRENCY_MAX) return number;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${CONCURRENCY_MAX}.`);
}
