import { Command } from "commander";
import type { EvictionAnswer } from "../admin/api/answers.ts";
import { placeOf, type PlaceOptions, untilAsked, withPlace, writeJson } from "./cache-place.ts";
import { askCache } from "./control-client.ts";
import { CliError } from "./failure.ts";
import { evictionText } from "./evict-text.ts";
import { widthOf } from "./ls-run.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface EvictOptions extends PlaceOptions {
  readonly registry?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function evictCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("evict")
    .summary("take images out of the cache")
    .description("Take images out of the running cache; the next pull of them fetches them anew. What is pinned stays.")
    .argument("[images...]", "images, or globs over images such as 'ghcr.io/org/**:pr-*'")
    .option("--registry <id>", "all that is held of this registry, such as quay or quay.io")
    .option("--dry-run", "only show what would go, and how much would come back")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", EVICT_HELP)
    .action(async (images: string[], _options: unknown, self: Command) => {
      exit(await evict(terminal, images, self.optsWithGlobals<EvictOptions>()));
    });
}

const EVICT_HELP = `
Example:
  $ registry-cache evict nginx:1.25 'ghcr.io/org/**:pr-*'
  $ registry-cache evict --registry quay --dry-run

The exit code is 1 where something that was named stays.`;

export function pruneCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("prune")
    .summary("let go what goes by budgets and ages")
    .description(
      "Let go what goes by max_size, max_age and min_free_disk; it happens by itself as well, when it has to.",
    )
    .option("--dry-run", "only show what would go, why, and how much would come back")
    .option("--json", "print JSON");
  return withPlace(command)
    .addHelpText("after", "\nExample:\n  $ registry-cache prune --dry-run")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<EvictOptions>();
      const method = options.dryRun === true ? "GET" : "POST";
      const answer = await asked(terminal, options, { method, path: "/api/v1/prune" });
      exit(answer.lackingBytes > 0 ? 1 : 0);
    });
}

async function evict(terminal: Terminal, images: readonly string[], options: EvictOptions): Promise<ExitCode> {
  const { registry, dryRun = false } = options;
  if ((images.length === 0) === (registry === undefined)) {
    const hint = "such as registry-cache evict nginx:1.25, or --registry quay";
    throw new CliError("name either images or a registry", { hint, exitCode: 2 });
  }
  const body = { ...(registry === undefined ? { images } : { registry }), dryRun };
  const answer = await asked(terminal, options, { method: "POST", path: "/api/v1/evict", body });
  return answer.kept.length > 0 ? 1 : 0;
}

async function asked(
  terminal: Terminal,
  options: EvictOptions,
  question: { readonly method: "GET" | "POST"; readonly path: string; readonly body?: object },
): Promise<EvictionAnswer> {
  const place = await placeOf(terminal, options);
  const answer = (await askCache(place, { ...question, signal: untilAsked(terminal) })) as EvictionAnswer;
  const paper = { isDryRun: options.dryRun === true, nowMs: Date.now(), width: widthOf(terminal) };
  if (options.json === true) writeJson(terminal, answer);
  else terminal.out.write(evictionText(answer, paper));
  return answer;
}
