import { createReadStream } from "node:fs";

/** The whole file; undefined where it is larger than `bytesMax`. Pipes and devices will do as well. Rejects with the system's error. */
export async function readAtMost(path: string, bytesMax: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > bytesMax) return undefined;
  }
  return Buffer.concat(pieces);
}
