import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isIP } from "node:net";
import type { Certificate } from "../config/config.ts";
import { isHost } from "../config/values.ts";
import { makeFolder, replaceFile, SECRET_MODE } from "../lib/replace-file.ts";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { isIssuedBy, isLastingFrom, issue, makeAuthority, namesOf } from "./own-authority.ts";

/** Files of a pair, by what it is for. */
export const AUTHORITY = "ca";
export const SERVER = "cache";

const CERT_MODE = 0o644;

/** A file that would be overwritten. */
export class FileExistsError extends Error {
  override readonly name = "FileExistsError";
  readonly path: string;

  constructor(path: string) {
    super(`${path} is there already`);
    this.path = path;
  }
}

/** What a file of a pair is called: `cache.pem`, `cache-key.pem`. */
export function certFile(name: string): string {
  return `${name}.pem`;
}

export function keyFile(name: string): string {
  return `${name}-key.pem`;
}

/** A folder with an authority of one's own, and what it has signed. Everything rejects with the system's error where it is not said. */
export class AuthorityFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** The first of a pair's files that is there. */
  async found(name: string): Promise<string | undefined> {
    for (const file of [keyFile(name), certFile(name)]) if (await exists(this.file(file))) return this.file(file);
    return undefined;
  }

  /** Rejects with a `FileExistsError` where there is one, unless that is wanted; resolves with the files that were written. */
  async makeAuthority({ force = false } = {}): Promise<string[]> {
    await this.#assertFree(AUTHORITY, force);
    return await this.#write(AUTHORITY, await makeAuthority());
  }

  /** A server's certificate. The key that is there is used further, unless another is wanted. */
  async makeServer(names: readonly string[], { newKey = false } = {}): Promise<string[]> {
    const key = newKey ? undefined : await textOf(this.file(keyFile(SERVER)));
    return await this.#write(SERVER, await issue(await this.authority(), { use: "server", names, key }));
  }

  /** Rejects with a `FileExistsError` where it has one, unless that is wanted. */
  async makeClient(name: string, { force = false } = {}): Promise<string[]> {
    await this.#assertFree(name, force);
    return await this.#write(name, await issue(await this.authority(), { use: "client", names: [name] }));
  }

  /** The names of the server's certificate; undefined where there is none. */
  async serverNames(): Promise<string[] | undefined> {
    const cert = await textOf(this.file(certFile(SERVER)));
    return cert === undefined ? undefined : await namesOf(cert);
  }

  /** Whether the server's certificate is for all these names, of this authority, and good for some time. */
  async isServerGoodFor(names: readonly string[], nowMs: number = Date.now()): Promise<boolean> {
    const cert = await textOf(this.file(certFile(SERVER)));
    const key = await textOf(this.file(keyFile(SERVER)));
    if (cert === undefined || key === undefined || !isLastingFrom(cert, nowMs)) return false;
    const its = new Set(await namesOf(cert));
    return names.every((name) => its.has(name)) && isIssuedBy(cert, (await this.authority()).cert);
  }

  async authority(): Promise<Certificate> {
    const [cert, key] = await Promise.all(
      [certFile(AUTHORITY), keyFile(AUTHORITY)].map(async (file) => {
        return await readFile(this.file(file), "utf8");
      }),
    );
    return { cert: cert ?? "", key: key ?? "" };
  }

  async #assertFree(name: string, force: boolean): Promise<void> {
    const found = force ? undefined : await this.found(name);
    if (found !== undefined) throw new FileExistsError(found);
  }

  async #write(name: string, { cert, key }: Certificate): Promise<string[]> {
    await makeFolder(this.path);
    const [certPath, keyPath] = [this.file(certFile(name)), this.file(keyFile(name))];
    // Whoever follows the two keeps the pair before until both fit.
    const isNew = (await textOf(keyPath)) !== key;
    if (isNew) await replaceFile(keyPath, key, { mode: () => SECRET_MODE });
    await replaceFile(certPath, cert, { mode: (before) => before ?? CERT_MODE });
    return isNew ? [certPath, keyPath] : [certPath];
  }
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function textOf(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

/** A host name, one with a star in front, or an address, as a server's certificate may be for it. */
export function readServerName(text: string): string {
  const name = text.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (isIP(name) !== 0 || isHost(name.replace(/^\*\./, ""))) return name;
  throw new ValueError(
    `${shown(text)} is neither a host name nor an address`,
    "such as cache.example.com or 192.0.2.7",
  );
}

const CLIENT_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

/** A client's name: for rules, the log, and its files. */
export function readClientName(text: string): string {
  const isTaken = [AUTHORITY, SERVER].includes(text) || text.endsWith("-key");
  if (CLIENT_NAME.test(text) && text !== "anonymous" && !isTaken) return text;
  const hint = isTaken ? "its files would be those of another" : "letters, digits, dots and dashes, such as ci-runner";
  throw new ValueError(`${shown(text)} cannot be a client's name`, hint);
}
