import type { Logger } from "pino";
import type { AccessConfig, Listen, SecretPath } from "../config/config.ts";
import { readAtMost } from "../lib/read-at-most.ts";
import { stateOfFiles, WatchedFiles } from "../lib/watched-file.ts";
import type { Access, AccessOptions } from "./access.ts";
import { accessAtAddresses } from "./at-addresses.ts";
import { HTPASSWD_BYTES_MAX, parseHtpasswd, type Users } from "./htpasswd.ts";
import { Passwords } from "./passwords.ts";
import { isPathToken, TOKEN_FILE_BYTES_MAX } from "./path-token.ts";
import { SealedCredentials } from "./sealed-credentials.ts";
import { readTokenKey } from "./token-key.ts";
import { Tokens } from "./tokens.ts";

/** Access that follows its files. */
export interface OpenAccess {
  /** Who may come in, by the position of the address that it is about. */
  readonly accesses: readonly Access[];
  /** What tokens are signed with, for other processes that answer; a secret. */
  readonly tokenKey: Buffer | undefined;
  /** As the files have it now. */
  news(): AccessNews;
  stop(): Promise<void>;
}

/** What other processes have to know when a file has changed. */
export interface AccessNews {
  readonly paths: readonly SecretPath[];
  /** Names. */
  readonly users: readonly string[];
}

export interface OpenAccessOptions extends Pick<AccessOptions, "registries"> {
  readonly config: AccessConfig;
  readonly listen: readonly Pick<Listen, "methods">[];
  readonly dataDir: string;
  readonly log: Logger;
}

const PROBLEMS_TOLD_MAX = 20;

/** How many wrong passwords from one address are worth a line in the log: these, then each time twice as many. */
const GUESSES_TOLD = 5;

/** Reads the users, and them and secret paths anew when their files change, which `onChange` hears of. Rejects with the system's error. */
export async function openAccess(
  { config, listen, dataDir, registries, log }: OpenAccessOptions,
  onChange: (news: AccessNews) => void,
): Promise<OpenAccess> {
  const passes = registries.some(({ passThrough }) => passThrough === true);
  const key = config.bearer || passes ? await readTokenKey(dataDir) : undefined;
  const tokenKey = config.bearer ? key : undefined;
  const usersSeen = config.htpasswd === undefined ? undefined : await stateOfFiles([config.htpasswd]);
  const passwords = config.htpasswd === undefined ? undefined : await openPasswords(config.htpasswd, log);
  const isUser = (name: string) => passwords?.has(name) === true;
  const [tokens, sealed] = [tokenKey && new Tokens(tokenKey), passes && key ? new SealedCredentials(key) : undefined];
  const accesses = accessAtAddresses(listen, { config, registries, isUser, passwords, tokens, sealed });
  let { paths } = config;
  const news = () => ({ paths, users: passwords?.names ?? [] });
  const changed = () => onChange(news());
  const watched = [
    followed({ file: config.htpasswd, seen: usersSeen, log }, async (file) => {
      const users = await readUsers(file, log, () => {
        log.warn({ file }, "the password file is not there any more, so that there are no users");
      });
      passwords?.replace(users);
      changed();
      log.info({ file, users: users.size }, "users were read anew");
    }),
    ...config.paths.map(({ file: ofPath, name }) =>
      followed({ file: ofPath, log }, async (file) => {
        const token = await readToken(file);
        if (paths.some((one) => one.name === name && one.token === token)) return;
        paths = paths.map((one) => (one.name === name ? { ...one, token } : one));
        for (const access of accesses) access.replacePaths(paths);
        changed();
        log.info({ file, path: name }, "a secret path was read anew");
      }),
    ),
  ].filter((one) => one !== undefined);
  for (const one of watched) one.start();
  return {
    accesses,
    tokenKey,
    news,
    stop: async () => {
      await Promise.all(watched.map(async (one) => await one.stop()));
      await passwords?.stop();
    },
  };
}

async function openPasswords(file: string, log: Logger): Promise<Passwords> {
  return new Passwords(await readUsers(file, log), (client, count) => {
    if (count % GUESSES_TOLD === 0 && Number.isInteger(Math.log2(count / GUESSES_TOLD))) {
      log.warn({ client, wrongPasswords: count }, "somebody may be guessing passwords");
    }
  });
}

interface Followed {
  readonly file: string | undefined;
  /** As it was before it was read. */
  readonly seen?: string | undefined;
  readonly log: Pick<Logger, "error">;
}

/** What cannot be read leaves what was before. */
function followed({ file, seen, log }: Followed, read: (file: string) => Promise<void>): WatchedFiles | undefined {
  if (file === undefined) return undefined;
  return new WatchedFiles({
    paths: [file],
    read: async () => await read(file),
    failed: ({ message: reason }) =>
      log.error({ file, reason }, "a file of `access` cannot be read anew; what it said before stays in force"),
    seen,
  });
}

async function readText(file: string, bytesMax: number): Promise<string> {
  const bytes = await readAtMost(file, bytesMax);
  if (bytes === undefined) throw new Error(`it has more than ${bytesMax} bytes`);
  return bytes.toString("utf8");
}

async function readToken(file: string): Promise<string> {
  const text = (await readText(file, TOKEN_FILE_BYTES_MAX)).trim();
  if (!isPathToken(text)) throw new Error("it has no token of 22 to 200 letters, digits, - and _");
  return text;
}

/** A line that cannot be used costs that user, and nobody else. A file that is not there yet has no users. */
async function readUsers(file: string, log: Pick<Logger, "warn">, onMissing = () => {}): Promise<Users> {
  const text = await readText(file, HTPASSWD_BYTES_MAX).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    onMissing();
    return "";
  });
  const { users, problems } = parseHtpasswd(text);
  for (const { line, message } of problems.slice(0, PROBLEMS_TOLD_MAX))
    log.warn({ file, line, reason: message }, "a user is left out");
  return users;
}
