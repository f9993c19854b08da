import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { HtpasswdFile } from "../access/htpasswd-file.ts";
import { hashPassword } from "../access/new-user.ts";
import { AUTHORITY, AuthorityFolder, certFile, keyFile, SERVER } from "../certificates/authority-folder.ts";
import { makeFolder, replaceFile, SECRET_MODE } from "../lib/replace-file.ts";
import type { Answers } from "./answers.ts";
import type { Making, MakingAuthority, MakingUser } from "./plan.ts";

const TOKEN_BYTES = 24;

/** A file that is made, and where it goes. */
interface StagedFile {
  readonly from: string;
  /** Absolute. */
  readonly to: string;
  readonly mode: number;
}

/** A line of a password file, which others may change meanwhile. */
interface StagedUser {
  /** The file with it, here and there; absolute. */
  readonly from: string;
  readonly to: string;
  readonly name: string;
  readonly hash: string;
}

/**
 * What is made beside a configuration, in a folder that nobody else can read until it is wanted: so the configuration can be tried
 * with it before anything is written. Everything rejects with the system's error, an `AuthorityError` or a `FileExistsError`.
 */
export class Staging {
  readonly #folder: string;
  readonly #target: string;
  readonly #files: StagedFile[] = [];
  readonly #users: StagedUser[] = [];

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
      for (const file of tokens) if (!(await isThere(resolve(target, file)))) await staging.#add(file, newToken());
      for (const user of users) await staging.#addUser(user);
      return staging;
    } catch (error) {
      await staging.discard();
      throw error;
    }
  }

  /** Where they go, absolute. */
  get targets(): string[] {
    return [...this.#files, ...this.#users].map(({ to }) => to);
  }

  /** The answers with the files where they are now. */
  relocated(answers: Answers): Answers {
    const { tls, access } = answers;
    const place = (name: string) => {
      return [...this.#files, ...this.#users].find(({ to }) => to === resolve(this.#target, name))?.from ?? name;
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

  /** Puts them where they belong; what was not there before is taken away again where one of them cannot be written. */
  async place(): Promise<{ undo: () => Promise<void> }> {
    const added: string[] = [];
    const undo = async () => {
      for (const path of added.splice(0)) await rm(path, { force: true });
    };
    try {
      for (const { from, to, mode } of this.#files) {
        const isNew = !(await isThere(to));
        await makeFolder(dirname(to));
        await replaceFile(to, await readFile(from, "utf8"), { mode: (before) => before ?? mode });
        if (isNew) added.push(to);
      }
      for (const { to, name, hash } of this.#users) {
        await HtpasswdFile.change(to, async (file) => file.set(name, hash));
      }
    } catch (error) {
      await undo();
      throw error;
    }
    return { undo };
  }

  async discard(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #add(name: string, text: string): Promise<void> {
    const from = join(this.#folder, name);
    await mkdir(dirname(from), { recursive: true });
    await replaceFile(from, text);
    this.#files.push({ from, to: resolve(this.#target, name), mode: SECRET_MODE });
  }

  async #addUser({ file, name, password }: MakingUser): Promise<void> {
    const [from, to] = [join(this.#folder, file), resolve(this.#target, file)];
    const hash = await hashPassword(password);
    await mkdir(dirname(from), { recursive: true });
    if (await isThere(to)) await copyFile(to, from);
    await HtpasswdFile.change(from, async (users) => users.set(name, hash));
    this.#users.push({ from, to, name, hash });
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
      const { mode } = await stat(from);
      this.#files.push({ from, to: there.file(from.slice(here.path.length + 1)), mode: mode & 0o777 });
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
