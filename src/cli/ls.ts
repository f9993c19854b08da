import { Command, InvalidArgumentError, Option } from "commander";
import { withPlace } from "./cache-place.ts";
import type { LsOptions } from "./ls-run.ts";
import type { Invocation } from "./terminal.ts";

const LIMIT_DEFAULT = 500;
const LIMIT_MAX = 100_000;

export function lsCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("ls")
    .summary("list the images that are held")
    .description("List the images that the running cache holds, with their sizes and pulls.")
    .argument("[text]", "only those with this in their name, such as nginx, or a glob such as 'ghcr.io/org/**:v*'")
    .option("--registry <id>", "only of this registry, such as dockerhub or docker.io")
    .option("--repository <glob>", "only of such repositories, such as 'library/*'")
    .option("--tag <glob>", "only with such a tag, such as 'v*'")
    .option("--unused <duration>", "only those that nobody has pulled for so long, such as 30d")
    .option("--larger <size>", "only those of more bytes, such as 1GiB")
    .addOption(
      new Option("--sort <key>", "by name, size, the last pull, or pulls; all but names begin with the most")
        .choices(["name", "size", "pulled", "lastPulled", "pulls"])
        .default("name"),
    )
    .option("--reverse", "the other way round: the smallest, the longest unused first")
    .addOption(new Option("--limit <number>", "at most so many").default(LIMIT_DEFAULT).argParser(asLimit))
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", HELP)
    .action(async (text: string | undefined, _options: unknown, self: Command) => {
      // Here and not above: the other commands need none of it.
      const { ls } = await import("./ls-run.ts");
      exit(await ls(terminal, text, self.optsWithGlobals<LsOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache ls --sort size
  $ registry-cache ls nginx --unused 30d
  $ registry-cache ls --sort pulled --reverse
  $ registry-cache ls --server https://cache.example.com --user me --json`;

function asLimit(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= LIMIT_MAX) return number;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${LIMIT_MAX}.`);
}
