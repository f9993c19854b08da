import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import type { AccessConfig } from "../config/config.ts";
import { WatchedFiles } from "../lib/watched-file.ts";
import { Access } from "./access.ts";
import { parseHtpasswd, type Users } from "./htpasswd.ts";
import { Passwords } from "./passwords.ts";
import { readTokenKey } from "./token-key.ts";
import { Tokens } from "./tokens.ts";

/** Access that follows its files. */
export interface OpenAccess {
  readonly access: Access;
  /** What tokens are signed with, for other processes that answer; a secret. */
  readonly tokenKey: Buffer | undefined;
  stop(): Promise<void>;
}

/** How many wrong passwords from one address are worth a line in the log: these, then each time twice as many. */
const GUESSES_TOLD = 5;

/** Reads the users, and reads them anew when their file changes. `onChange` hears of it. Rejects with the system's error. */
export async function openAccess(
  { config, dataDir, log }: { readonly config: AccessConfig; readonly dataDir: string; readonly log: Logger },
  onChange: () => void,
): Promise<OpenAccess> {
  const tokenKey = config.bearer ? await readTokenKey(dataDir) : undefined;
  const tokens = tokenKey && new Tokens(tokenKey);
  const file = config.htpasswd;
  if (file === undefined) {
    return { access: new Access({ config, passwords: undefined, tokens }), tokenKey, stop: async () => undefined };
  }
  const passwords = new Passwords(await readUsers(file, log), (client, count) => {
    if (count % GUESSES_TOLD === 0 && Number.isInteger(Math.log2(count / GUESSES_TOLD))) {
      log.warn({ client, wrongPasswords: count }, "somebody may be guessing passwords");
    }
  });
  const watched = new WatchedFiles([file], async () => {
    try {
      const users = await readUsers(file, log);
      passwords.replace(users);
      onChange();
      log.info({ file, users: users.size }, "users were read anew");
    } catch (error) {
      log.error({ file, err: error }, "users could not be read anew; those from before stay");
    }
  });
  await watched.start();
  const stop = async () => {
    await watched.stop();
    await passwords.stop();
  };
  return { access: new Access({ config, passwords, tokens }), tokenKey, stop };
}

/** A line that cannot be used costs that user, and nobody else. A file that is not there yet has no users. */
async function readUsers(file: string, log: Pick<Logger, "warn">): Promise<Users> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const { users, problems } = parseHtpasswd(text);
  for (const { line, message } of problems) log.warn({ file, line }, `a user is left out: the line ${message}`);
  return users;
}
