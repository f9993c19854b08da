import { ValueError } from "../lib/value-error.ts";
import { PASSWORD_BYTES_MAX } from "./password-length.ts";

const NAME_LENGTH_MAX = 64;
const PASSWORD_LENGTH_MIN = 8;
/** A tenth of a second for each guess; what Traefik, nginx and Apache read as well. */
const BCRYPT_COST = 10;

/** A user's name, as a password file can have it. */
export function readUserName(name: string): string {
  const isGood = !/[:\s\p{Cc}]/u.test(name) && name !== "anonymous" && name !== "" && !name.startsWith("#");
  if (isGood && name.length <= NAME_LENGTH_MAX) return name;
  const hint = `at most ${NAME_LENGTH_MAX} characters, without colons and spaces`;
  throw new ValueError(`${JSON.stringify(name)} is no name for a user`, hint);
}

/** A password that somebody chooses here. */
export function readNewPassword(password: string): string {
  if (password.length < PASSWORD_LENGTH_MIN) {
    const hint = "`openssl rand -hex 24` prints a good one";
    throw new ValueError(`a password needs ${PASSWORD_LENGTH_MIN} characters at least`, hint);
  }
  if (Buffer.byteLength(password) <= PASSWORD_BYTES_MAX && !/\p{Cc}/u.test(password)) return password;
  throw new ValueError(`a password has at most ${PASSWORD_BYTES_MAX} bytes and no control characters`);
}

/** For the password file. */
export async function hashPassword(password: string): Promise<string> {
  const { hash } = await import("bcryptjs");
  return await hash(password, BCRYPT_COST);
}
