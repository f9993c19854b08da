import { parsePasswordHash, type PasswordHash } from "./password-hash.ts";

/** Of a password file: tens of thousands of users. */
export const HTPASSWD_BYTES_MAX = 4 * 1024 * 1024;

/** Users of a password file. */
export type Users = ReadonlyMap<string, PasswordHash>;

/** What is wrong with a line, which counts from 1. */
export interface HtpasswdProblem {
  readonly line: number;
  readonly message: string;
}

/** Reads `user:hash` lines as Apache's htpasswd writes them; empty ones and those that begin with # are nothing. */
export function parseHtpasswd(text: string): { readonly users: Users; readonly problems: readonly HtpasswdProblem[] } {
  const users = new Map<string, PasswordHash>();
  const problems: HtpasswdProblem[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const problem = (message: string) => problems.push({ line: index + 1, message });
    const colon = line.indexOf(":");
    const user = line.slice(0, colon);
    if (colon < 1) {
      problem("is not USER:HASH");
      continue;
    }
    if (users.has(user)) problem(`names ${JSON.stringify(user)} a second time`);
    const hash = parsePasswordHash(line.slice(colon + 1));
    if ("problem" in hash) problem(`the hash of ${JSON.stringify(user)} ${hash.problem}`);
    else users.set(user, hash);
  }
  return { users, problems };
}
