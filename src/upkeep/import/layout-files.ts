import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";
import { tarFiles, TarError, type TarFile } from "../../lib/tar-index.ts";
import type { ForeignBlob } from "../../store/store.ts";
import { type ForeignFolder, readAll } from "./foreign-files.ts";
import type { LayoutFiles } from "./layout.ts";
import { ImportError } from "./source.ts";

/** Blobs in one tar that are remembered by place. */
const TAR_BLOBS_MAX = 1_000_000;
const BLOB_NAME = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/;

/** An OCI layout as a folder. */
export function layoutFolder(folder: ForeignFolder): LayoutFiles {
  return {
    kind: "OCI layout",
    index: async (bytesMax) => await folder.readSmall(bytesMax, "index.json"),
    find: async (digest) => await folder.file("blobs", digestAlgorithm(digest), digestHex(digest)),
    close: async () => undefined,
  };
}

/** The bytes of a tar, which whoever opened them closes. */
export interface TarBytes {
  readonly size: number;
  read(buffer: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

/** An OCI layout within a tar: names in it are only compared to those that a layout has. Closes the tar where it is none. */
export async function layoutTar(tar: TarBytes, signal: AbortSignal): Promise<LayoutFiles> {
  try {
    return await indexed(tar, signal);
  } catch (error) {
    await tar.close();
    throw error instanceof TarError ? new ImportError(`the archive cannot be read: ${error.message}`) : error;
  }
}

async function indexed(tar: TarBytes, signal: AbortSignal): Promise<LayoutFiles> {
  const blobs = new Map<Digest, TarFile>();
  let [index, isOfOldDocker]: [TarFile | undefined, boolean] = [undefined, false];
  for await (const file of tarFiles(async (buffer, at) => await tar.read(buffer, at), tar.size)) {
    signal.throwIfAborted();
    const [, algorithm, hex] = BLOB_NAME.exec(file.name) ?? [];
    const digest = parseDigest(`${algorithm}:${hex}`);
    if (digest !== undefined) blobs.set(digest, file);
    if (file.name === "index.json") index = file;
    isOfOldDocker ||= file.name === "manifest.json";
    if (blobs.size > TAR_BLOBS_MAX) throw new ImportError(`the archive has more than ${TAR_BLOBS_MAX} blobs in it`);
  }
  if (index === undefined && isOfOldDocker) {
    const hint = "save it anew with Docker 25 or later, or with `skopeo copy ... oci-archive:FILE`";
    throw new ImportError("the archive is in Docker's old format, which has no registry manifests in it", hint);
  }
  const within = ({ offset, size }: TarFile): ForeignBlob => ({
    size,
    // Never past its end: what follows there is another file's.
    open: async () => ({
      read: async (buffer, position) => {
        const length = Math.min(buffer.length, Math.max(0, size - position));
        return length === 0 ? 0 : await tar.read(buffer.subarray(0, length), offset + position);
      },
      close: async () => undefined,
    }),
  });
  return {
    kind: "archive",
    index: async (bytesMax) =>
      index === undefined || index.size > bytesMax ? undefined : await readAll(within(index)),
    find: async (digest) => {
      const file = blobs.get(digest);
      return file === undefined ? undefined : within(file);
    },
    close: async () => await tar.close(),
  };
}
