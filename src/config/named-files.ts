import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CONFIG_VARIABLE, DOT_ENV } from "./environment.ts";
import { findConfigFile } from "./files.ts";
import type { LoadOptions } from "./load.ts";
import { type ConfigText, readConfigText } from "./read-text.ts";

/**
 * What the configuration consists of, for whoever installs it elsewhere: its file, the `.env` beside it, and the files that it
 * names, as absolute paths; each once. Those that the environment names are not among them.
 *
 * @throws ConfigError where the file cannot be read
 */
export async function namedFiles({ configPath, environment, cwd }: LoadOptions): Promise<string[]> {
  const environmentPath = environment[CONFIG_VARIABLE] === "" ? undefined : environment[CONFIG_VARIABLE];
  const file = await findConfigFile({ configPath, environmentPath, cwd });
  const folder = file?.folder ?? cwd;
  const own = file === undefined ? [] : [resolve(cwd, file.name)];
  const named = namesIn(readConfigText(file)).map((name) => resolve(folder, name));
  const dotEnv = join(folder, DOT_ENV);
  return [...new Set([...own, ...((await isFile(dotEnv)) ? [dotEnv] : []), ...named])];
}

/** Names of files in the order in which they are documented. */
function namesIn({ top, drafts }: ConfigText): string[] {
  const { tls, access } = top;
  const names = [
    tls?.cert,
    tls?.key,
    tls?.ca,
    tls?.directory_ca,
    access?.basic?.htpasswd,
    access?.mtls?.ca,
    access?.mtls?.crl,
    ...(access?.paths ?? []).map((one) => one.token_file),
    ...(top.webhooks ?? []).map((one) => one.secret_file),
    ...drafts.map(({ input }) => input.ca),
  ];
  return names.flatMap((name) => name ?? []);
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
