import { constants, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../oci/digest.ts";
import { entriesOf, ifPresent, NO_FOLLOW, PositionalReader, statFileIfPresent } from "./files.ts";
import type { Layout } from "./layout.ts";
import type { StoredBlob, StoredBytes } from "./store.ts";

/** Every file that is a blob by its name, in the order of their digests, those behind `after`. */
export async function* walkBlobs(layout: Layout, after?: Digest): AsyncIterable<StoredBytes> {
  const [lastAlgorithm, lastHex] = after === undefined ? ["", ""] : [digestAlgorithm(after), digestHex(after)];
  for (const algorithm of await entriesOf(layout.blobs)) {
    if (algorithm.name < lastAlgorithm) continue;
    const last = algorithm.name === lastAlgorithm ? lastHex : "";
    for (const prefix of await entriesOf(join(layout.blobs, algorithm.name))) {
      if (prefix.name < last.slice(0, prefix.name.length)) continue;
      for (const { name } of await entriesOf(join(layout.blobs, algorithm.name, prefix.name))) {
        const digest = name <= last ? undefined : parseDigest(`${algorithm.name}:${name}`);
        const stats = digest === undefined ? undefined : await statFileIfPresent(layout.blob(digest));
        if (digest !== undefined && stats !== undefined)
          yield { digest, size: stats.size, atMs: Math.floor(stats.mtimeMs) };
      }
    }
  }
}

/** Opens a blob's file; undefined where there is none, or something that is no file. */
export async function openFileBlob(path: string): Promise<StoredBlob | undefined> {
  const handle = await ifPresent(open(path, constants.O_RDONLY | NO_FOLLOW));
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    if (stats.isFile()) return new FileBlob(path, stats, new PositionalReader(handle));
    await handle.close();
    return undefined;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

class FileBlob implements StoredBlob {
  readonly size: number;
  readonly version: string;
  readonly #path: string;
  readonly #reader: PositionalReader;

  constructor(path: string, stats: Stats, reader: PositionalReader) {
    this.size = stats.size;
    this.version = versionOf(stats);
    this.#path = path;
    this.#reader = reader;
  }

  async isCurrent(): Promise<boolean> {
    const stats = await statFileIfPresent(this.#path);
    return stats !== undefined && versionOf(stats) === this.version;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    return await this.#reader.read(buffer, position);
  }

  readNow(buffer: Uint8Array, position: number): number {
    return this.#reader.readNow(buffer, position);
  }

  async close(): Promise<void> {
    await this.#reader.close();
  }
}

/** The inode's change time moves with every write, and nobody can set it back. */
function versionOf({ ino, size, ctimeMs }: Stats): string {
  return `${ino}-${size}-${ctimeMs}`;
}
