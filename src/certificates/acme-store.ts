import { createHash, createPrivateKey, randomBytes, X509Certificate } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { joined, pemCertificates } from "../config/certificates.ts";
import type { Certificate } from "../config/config.ts";

const FOLDER = "acme";
const KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^-]*-----END (?:[A-Z]+ )?PRIVATE KEY-----\n?/;
/** The names of files may have 255 bytes, those of hosts nearly as many. */
const FILE_CHARACTERS_MAX = 200;

/** What is kept between starts, for this process's user alone: the account's key, and certificates with their own. */
export class AcmeStore {
  readonly #folder: string;
  readonly #directory: string;

  /** `directory` is the authority's URL: what another one has given is not taken for its own. */
  constructor(dataDir: string, directory: string) {
    this.#folder = join(dataDir, FOLDER);
    this.#directory = directory;
  }

  /** The account's private key; made by `make` where there is none yet. Rejects with the system's error. */
  async accountKey(make: () => Promise<string>): Promise<string> {
    const file = `account-${new URL(this.#directory).host.replace(/[^A-Za-z0-9.-]/g, "_")}.pem`;
    const known = await this.#read(file);
    if (known !== undefined) return known;
    const key = await make();
    await this.#write(file, key);
    return key;
  }

  /** That of a name, or the one over all. Undefined where there is none from this directory, or none that can be used. */
  async certificate(name: string | undefined): Promise<Certificate | undefined> {
    const text = await this.#read(fileOf(name));
    const key = KEY.exec(text ?? "")?.[0];
    const chain = pemCertificates(text ?? "");
    if (text?.startsWith(`${this.#directory}\n`) !== true || key === undefined) return undefined;
    return belongTogether(chain[0], key) ? { cert: joined(chain), key } : undefined;
  }

  /** One file, so that key and certificate always belong together. */
  async keep(name: string | undefined, { cert, key }: Certificate): Promise<void> {
    await this.#write(fileOf(name), `${this.#directory}\n${key.trimEnd()}\n${cert}`);
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

function fileOf(name: string | undefined): string {
  if (name === undefined) return "certificate.pem";
  const short = name.length <= FILE_CHARACTERS_MAX ? name : createHash("sha256").update(name).digest("hex");
  return `certificate-${short}.pem`;
}

/** A file that was damaged, or written by hand, must not keep the cache from starting. */
function belongTogether(cert: string | undefined, key: string): boolean {
  if (cert === undefined) return false;
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
