import type { Config } from "../config/config.ts";
import type { Terminal } from "./terminal.ts";

/** What may stand before and after a command's name. */
export interface GlobalOptions {
  readonly config?: string;
}

/** The configuration that a command runs with. Rejects with a `ConfigError`. `log: auto` looks at where the log goes. */
export async function configurationOf(
  { environment, cwd, out, err }: Terminal,
  { config: configPath }: GlobalOptions,
  logsTo: "out" | "err" = "out",
): Promise<Config> {
  const { isTerminal } = logsTo === "out" ? out : err;
  // Here and not above: `--help` and `--version` need none of it, and answer sooner without.
  const { loadConfig } = await import("../config/load.ts");
  return await loadConfig({ ...(configPath === undefined ? {} : { configPath }), environment, cwd, isTerminal });
}
