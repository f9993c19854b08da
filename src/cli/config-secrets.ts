import { secretVariable } from "../config/environment.ts";
import { type Flags, type FlagSecrets, secretsNeeded } from "../wizard/flags.ts";
import { CliError } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Secrets of standard input, a line each, or of the environment. */
export async function secretsOf(
  { input, environment }: Terminal,
  flags: Flags & { readonly passwordStdin?: boolean },
): Promise<FlagSecrets> {
  const needed = secretsNeeded(flags);
  const lines = flags.passwordStdin === true ? (await input.readAll()).replace(/\r?\n$/, "").split(/\r?\n/) : [];
  if (lines.length > needed.length) {
    const what =
      needed.length === 0
        ? "nobody here needs one"
        : `one is needed for each of: ${needed.map((id) => id ?? "the user").join(", ")}`;
    throw new CliError("there are more passwords on standard input than needed", { hint: what, exitCode: 2 });
  }
  const registries = new Map<string, string>();
  let user: string | undefined;
  for (const [index, id] of needed.entries()) {
    const variable = id === undefined ? undefined : secretVariable(id, "password");
    const found = lines[index] ?? (variable === undefined ? undefined : environment[variable]);
    if (found === undefined || found === "") {
      const or = variable === undefined ? "" : `, or set ${variable}`;
      const hint = `--password-stdin reads it from standard input${or}`;
      throw new CliError(`there is no password for ${id ?? "the user"}`, { hint, exitCode: 2 });
    }
    if (id === undefined) user = found;
    else registries.set(id, found);
  }
  return { user, registries };
}
