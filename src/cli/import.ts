import { Command, Option } from "commander";
import type { ImportOptions } from "./import-run.ts";
import type { Invocation } from "./terminal.ts";

export function importCommand({ terminal, exit }: Invocation): Command {
  return new Command("import")
    .summary("take over images from a registry:2 volume, an OCI layout or its tar")
    .description(
      "Take over what a registry:2 or registry:3 has stored, an OCI layout, or a tar of one, without downloading it again.",
    )
    .argument("<path>", "the volume, the layout's folder, or the tar")
    .option("--registry <id>", "the registry that the volume's images come from, such as dockerhub")
    .option("--as <name>", "what the layout's image is called, such as docker.io/library/nginx:1.27")
    .option("--dry-run", "say what there is to take, and write nothing")
    .addOption(
      new Option("--public", "give the images to everybody, without asking their registry").conflicts("private"),
    )
    .option("--private", "keep the images back until their registry gives them to everybody, without asking it now")
    .option("--json", "print the report as JSON")
    .addHelpText("after", HELP)
    .action(async (path: string, _options: unknown, command: Command) => {
      // Here and not above: the other commands need none of it.
      const { importPath } = await import("./import-run.ts");
      exit(await importPath(terminal, path, command.optsWithGlobals<ImportOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache import --registry dockerhub /var/lib/docker/volumes/cache-dockerhub/_data
  $ registry-cache import nginx.tar --as docker.io/library/nginx:1.27

Nothing is changed where the images come from. Interrupted, it goes on from there the next time. Stop the cache before; a dry
run may be made beside it.`;
