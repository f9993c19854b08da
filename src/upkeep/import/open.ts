import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { ForeignFolder, readable } from "./foreign-files.ts";
import { type LayoutOptions, OciLayout } from "./layout.ts";
import { layoutFolder, layoutTar, type TarBytes } from "./layout-files.ts";
import { type NamedRegistry, parseImageName } from "../../oci/image-name.ts";
import { ImportError, type ImportSource, type OnProblem } from "./source.ts";
import { Volume } from "./volume.ts";

export interface OpenOptions {
  readonly path: string;
  readonly registries: readonly NamedRegistry[];
  /** A registry's id. */
  readonly registryId: string | undefined;
  /** What the image is called: `docker.io/library/nginx:1.27`. */
  readonly as: string | undefined;
  readonly onProblem: OnProblem;
  readonly signal: AbortSignal;
  /** Where a compressed archive is unpacked to, without ever being seen there. */
  readonly unpackIn: string;
  /** Bytes that may be written there. */
  readonly room: () => Promise<number>;
}

/** Where a volume's folders may be, counted from what the user names: the volume itself, or what is above or below. */
const VOLUME_FOLDERS = ["docker/registry/v2", "registry/v2", "v2", ".", "_data/docker/registry/v2"] as const;
const GZIP = Buffer.from([0x1f, 0x8b]);
/** How many unpacked bytes are written before the room is looked at again. */
const ROOM_CHECK_BYTES = 64 * 1024 * 1024;

/** Finds out what there is. Rejects with an `ImportError` where it is nothing that can be taken over. */
export async function openSource(options: OpenOptions): Promise<ImportSource> {
  const { path, onProblem } = options;
  const stats = await readable(stat(path), path).catch(rethrowMissing(path));
  if (!stats.isDirectory() && !stats.isFile()) throw new ImportError(`${path}: neither a folder nor a file`);
  if (stats.isFile()) {
    const naming = named(options);
    return await OciLayout.open({ ...naming, files: await archive(options) });
  }
  const folder = await ForeignFolder.open(path, onProblem);
  if ((await folder.file("oci-layout")) !== undefined)
    return await OciLayout.open({ ...named(options), files: layoutFolder(folder) });
  for (const below of VOLUME_FOLDERS) {
    if ((await isFolder(join(path, below, "blobs"))) && (await isFolder(join(path, below, "repositories"))))
      return await openVolume(join(path, below), options);
  }
  throw new ImportError(
    `${path}: neither a registry's volume nor an OCI layout`,
    "name the folder with `docker/registry/v2` in it, one with `oci-layout` and `index.json`, or a tar of such a one",
  );
}

function rethrowMissing(path: string): (error: unknown) => never {
  return (error) => {
    const isMissing = error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code));
    throw isMissing ? new ImportError(`${path}: no such file or folder`) : error;
  };
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

async function openVolume(path: string, options: OpenOptions): Promise<ImportSource> {
  const { registries, registryId, as, onProblem } = options;
  if (as !== undefined) {
    throw new ImportError("`--as` names one image, and this is a registry's volume", "its registry goes to --registry");
  }
  const registry = registries.find(({ id }) => id === registryId);
  const folder = await ForeignFolder.open(path, onProblem);
  return await Volume.open({ folder, registries, registry, onProblem, signal: options.signal });
}

/** What the layout's image is called by the user. */
function named({ as, registryId, registries, onProblem, signal }: OpenOptions): Omit<LayoutOptions, "files"> {
  if (registryId !== undefined) {
    throw new ImportError(
      "`--registry` is for registry volumes",
      "name an image with `--as docker.io/library/nginx:1.27`",
    );
  }
  const name = as === undefined ? undefined : parseImageName(as, registries);
  if (name !== undefined && "problem" in name) {
    const why = name.problem === "bad" ? "no image can be called so" : `${name.host} is not among the registries`;
    throw new ImportError(`--as ${as}: ${why}`, "write it as `docker.io/library/nginx:1.27`");
  }
  return { registries, name, onProblem, signal };
}

async function archive(options: OpenOptions): ReturnType<typeof layoutTar> {
  const { path } = options;
  const handle = await readable(open(path, constants.O_RDONLY | constants.O_NONBLOCK), path);
  try {
    const magic = Buffer.alloc(GZIP.length);
    await handle.read(magic, 0, magic.length, 0);
    if (!magic.equals(GZIP)) return await layoutTar(bytesOf(handle, (await handle.stat()).size), options.signal);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return await layoutTar(await unpacked(handle, options), options.signal);
}

function bytesOf(handle: FileHandle, size: number): TarBytes {
  return {
    size,
    read: async (buffer, position) => (await handle.read(buffer, 0, buffer.length, position)).bytesRead,
    close: async () => await handle.close(),
  };
}

/** Into a file without a name: it is gone when the process is, however that ends. */
async function unpacked(from: FileHandle, { unpackIn, room, signal, path }: OpenOptions): Promise<TarBytes> {
  const temporary = join(unpackIn, randomUUID());
  const to = await open(temporary, "wx+", 0o600);
  await rm(temporary);
  let [written, checkedAt] = [0, 0];
  try {
    await pipeline(
      from.createReadStream(),
      createGunzip(),
      async function (pieces: AsyncIterable<Buffer>) {
        for await (const piece of pieces) {
          if (written - checkedAt >= ROOM_CHECK_BYTES || written === 0) {
            checkedAt = written;
            if ((await room()) < ROOM_CHECK_BYTES) throw noRoom(unpackIn);
          }
          await to.writeFile(piece);
          written += piece.length;
        }
      },
      { signal },
    );
    return bytesOf(to, written);
  } catch (error) {
    await to.close();
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") throw noRoom(unpackIn);
    const isDamaged = error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
    throw isDamaged ? new ImportError(`${path}: the compressed archive is damaged: ${error.message}`) : error;
  }
}

function noRoom(folder: string): ImportError {
  return new ImportError(`${folder}: no room to unpack the archive there`, "make room, or unpack it elsewhere before");
}
