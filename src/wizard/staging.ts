import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { HtpasswdFile } from "../access/htpasswd-file.ts";
import { hashPassword } from "../access/new-user.ts";
import { AUTHORITY, AuthorityFolder, certFile, keyFile, SERVER } from "../certificates/authority-folder.ts";
import { replaceFile, SECRET_MODE } from "../lib/replace-file.ts";
import type { Answers } from "./answers.ts";
import type { Making, MakingAuthority, MakingUser } from "./plan.ts";

const TOKEN_BYTES = 24;

/** What is made beside a configuration. */
export interface Made {
  readonly files: readonly MadeFile[];
  readonly users: readonly MadeUser[];
}

export interface MadeFile {
  /** Absolute. */
  readonly path: string;
  /** May be a secret. */
  readonly text: string;
  /** Of a file that is new. */
  readonly mode: number;
}

/** A line of a password file, which others may change meanwhile. */
export interface MadeUser {
  /** The file's, absolute. */
  readonly path: string;
  readonly name: string;
  readonly hash: string;
}

interface Staged<T> {
  /** Where it is now. */
  readonly from: string;
  readonly made: T;
}

/**
 * What is made beside a configuration, for a moment in a folder that nobody else can read: so the configuration can be tried with
 * it before anything is written. Everything rejects with the system's error, or an `AuthorityError`.
 */
export class Staging {
  readonly #folder: string;
  readonly #target: string;
  readonly #files: Staged<MadeFile>[] = [];
  readonly #users: Staged<MadeUser>[] = [];

  private constructor(folder: string, target: string) {
    this.#folder = folder;
    this.#target = target;
  }

  /** `target` is the configuration's folder. Whoever makes it discards it. */
  static async make({ authority, tokens, users }: Making, target: string): Promise<Staging> {
    const staging = new Staging(await mkdtemp(join(tmpdir(), "registry-cache-config-")), target);
    try {
      if (authority !== undefined) await staging.#makeAuthority(authority);
      // Hosts know a secret that is there already.
      for (const file of tokens) if (!(await isThere(resolve(target, file)))) await staging.#addToken(file);
      for (const user of users) await staging.#addUser(user);
      return staging;
    } catch (error) {
      await staging.discard();
      throw error;
    }
  }

  get made(): Made {
    return { files: this.#files.map(({ made }) => made), users: this.#users.map(({ made }) => made) };
  }

  /** The answers with the files where they are now. */
  relocated(answers: Answers): Answers {
    const { tls, access } = answers;
    const place = (name: string) => {
      return (
        [...this.#files, ...this.#users].find(({ made }) => made.path === resolve(this.#target, name))?.from ?? name
      );
    };
    const maybe = (name: string | undefined) => (name === undefined ? undefined : place(name));
    return {
      ...answers,
      tls: tls.kind === "files" ? { ...tls, cert: place(tls.cert), key: place(tls.key), ca: maybe(tls.ca) } : tls,
      access: {
        ...access,
        htpasswd: maybe(access.htpasswd),
        mtlsCa: maybe(access.mtlsCa),
        paths: access.paths.map(({ name, tokenFile }) => ({ name, tokenFile: maybe(tokenFile) })),
      },
    };
  }

  async discard(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Names lead anywhere; here they must not. */
  #place(): string {
    return join(this.#folder, String(this.#files.length + this.#users.length));
  }

  async #addToken(file: string): Promise<void> {
    const [from, text] = [this.#place(), newToken()];
    await replaceFile(from, text);
    this.#files.push({ from, made: { path: resolve(this.#target, file), text, mode: SECRET_MODE } });
  }

  async #addUser({ file, name, password }: MakingUser): Promise<void> {
    const [from, path] = [this.#place(), resolve(this.#target, file)];
    const hash = await hashPassword(password);
    if (await isThere(path)) await copyFile(path, from);
    await HtpasswdFile.change(from, async (users) => users.set(name, hash));
    this.#users.push({ from, made: { path, name, hash } });
  }

  async #makeAuthority({ folder: name, serverNames, clients }: MakingAuthority): Promise<void> {
    const [here, there] = [
      new AuthorityFolder(join(this.#folder, name)),
      new AuthorityFolder(resolve(this.#target, name)),
    ];
    await mkdir(here.path, { recursive: true });
    const kept = [certFile(AUTHORITY), keyFile(AUTHORITY), certFile(SERVER), keyFile(SERVER)];
    for (const file of kept) if (await isThere(there.file(file))) await copyFile(there.file(file), here.file(file));
    const written: string[] = [];
    if ((await here.found(AUTHORITY)) === undefined) written.push(...(await here.makeAuthority()));
    const isNeeded = serverNames.length > 0 && !(await here.isServerGoodFor(serverNames));
    if (isNeeded) written.push(...(await here.makeServer(serverNames)));
    for (const client of clients) {
      if ((await there.found(client)) === undefined) written.push(...(await here.makeClient(client)));
    }
    // Keys first: a certificate is of no use before.
    for (const from of written.toSorted((a, b) => Number(isKey(b)) - Number(isKey(a)))) {
      const [text, { mode }] = [await readFile(from, "utf8"), await stat(from)];
      this.#files.push({ from, made: { path: there.file(basename(from)), text, mode: mode & 0o777 } });
    }
  }
}

function newToken(): string {
  return `${randomBytes(TOKEN_BYTES).toString("hex")}\n`;
}

function isKey(path: string): boolean {
  return path.endsWith("-key.pem");
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
