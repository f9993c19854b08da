import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pemCertificates } from "../config/certificates.ts";
import type { Certificate } from "../config/config.ts";

const FOLDER = "acme";
const KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^-]*-----END (?:[A-Z]+ )?PRIVATE KEY-----\n?/;

/** What is kept between starts, for this process's user alone: the account's key, and the certificate with its own. */
export class AcmeStore {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, FOLDER);
  }

  /** The account's private key at a directory; made by `make` where there is none yet. Rejects with the system's error. */
  async accountKey(directory: string, make: () => Promise<string>): Promise<string> {
    const file = `account-${new URL(directory).host.replace(/[^A-Za-z0-9.-]/g, "_")}.pem`;
    const known = await this.#read(file);
    if (known !== undefined) return known;
    const key = await make();
    await this.#write(file, key);
    return key;
  }

  /** Undefined where there is none from this directory, or none that can be used. */
  async certificate(directory: string): Promise<Certificate | undefined> {
    const text = await this.#read("certificate.pem");
    const key = KEY.exec(text ?? "")?.[0];
    const chain = pemCertificates(text ?? "");
    if (text?.startsWith(`${directory}\n`) !== true || key === undefined || chain.length === 0) return undefined;
    return { cert: `${chain.join("\n")}\n`, key };
  }

  /** One file, so that key and certificate always belong together. */
  async keep(directory: string, { cert, key }: Certificate): Promise<void> {
    await this.#write("certificate.pem", `${directory}\n${key.trimEnd()}\n${cert}`);
  }

  async #read(file: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.#folder, file), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  async #write(file: string, text: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const temporary = join(this.#folder, `${file}.${randomBytes(6).toString("hex")}`);
    try {
      const handle = await open(temporary, "wx", 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, join(this.#folder, file));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}
