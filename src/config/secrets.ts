import { isUtf8 } from "node:buffer";
import { resolve } from "node:path";
import { ValueError } from "../lib/value-error.ts";
import type { Credentials } from "./config.ts";
import {
  type SecretKey,
  SECRET_KEYS,
  secretVariable,
  type Variable,
  type Variables,
  variableProblem,
} from "./environment.ts";
import type { Problem } from "./errors.ts";
import { readBounded } from "./files.ts";
import { readSecretText, readToken, readUsername } from "./values.ts";

/** Tokens of cloud registries have some kilobytes; headers have 16 KiB in most servers. */
const SECRET_BYTES_MAX = 64 * 1024;

const READERS: Readonly<Record<SecretKey, (text: string) => string>> = {
  username: readUsername,
  password: (text) => readSecretText(text, "a text"),
  token: readToken,
};

export type Secrets = { readonly [key in SecretKey]?: string | undefined };

/**
 * What the environment says about a registry's credentials. Secret files' names are relative to `cwd`; one line break at
 * their end is the editor's, not the secret's.
 */
export async function readSecrets(
  id: string,
  variables: Variables,
  cwd: string,
  problems: Problem[],
): Promise<Secrets> {
  const secrets: { [key in SecretKey]?: string } = {};
  for (const key of SECRET_KEYS) {
    const plain = variables.get(secretVariable(id, key));
    const file = variables.get(`${secretVariable(id, key)}_FILE`);
    if (plain !== undefined && file !== undefined) {
      problems.push(variableProblem(file, `${plain.name} is set as well`, "set one of the two"));
    }
    const variable = plain ?? file;
    if (variable === undefined) continue;
    const text = variable === plain ? plain.value : await readSecretFile(variable, cwd, problems);
    if (text === undefined) continue;
    try {
      secrets[key] = READERS[key](text);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      problems.push(variableProblem(variable, error.message, error.hint));
    }
  }
  return secrets;
}

async function readSecretFile(variable: Variable, cwd: string, problems: Problem[]): Promise<string | undefined> {
  const bytes = await readBounded(resolve(cwd, variable.value), SECRET_BYTES_MAX);
  const problem = (message: string, hint: string | undefined) => {
    // Its name is not quoted: many a password was put where the name of its file belongs.
    problems.push(variableProblem(variable, `the file that it names ${message}`, hint));
    return undefined;
  };
  if (!Buffer.isBuffer(bytes)) return problem(bytes.message, bytes.hint);
  if (!isUtf8(bytes)) return problem("is not UTF-8", undefined);
  const text = bytes.toString("utf8").replace(/\r?\n$/, "");
  return text === "" ? problem("is empty", "write the secret into it") : text;
}

/** What is wrong with the combination, or the credentials that it makes. */
export type CombinedSecrets =
  | { readonly credentials: Credentials | undefined }
  | { readonly key: SecretKey; readonly missing: SecretKey | undefined; readonly message: string };

export function combineSecrets({ username, password, token }: Secrets): CombinedSecrets {
  if (token !== undefined) {
    const other = username !== undefined ? "username" : "password";
    if (username !== undefined || password !== undefined) {
      return { key: other, missing: undefined, message: "cannot be used together with a token" };
    }
    return { credentials: { kind: "bearer", token } };
  }
  if (username === undefined && password === undefined) return { credentials: undefined };
  if (password === undefined) return { key: "username", missing: "password", message: "there is no password for it" };
  if (username === undefined) return { key: "password", missing: "username", message: "there is no username for it" };
  return { credentials: { kind: "basic", username, password } };
}
