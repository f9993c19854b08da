import { open, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { inForm } from "./fault.ts";

/** What a dying disk, or a copy that was cut short, does to a file. */
export interface Damage {
  readonly name: string;
  to(path: string): Promise<void>;
}

/** Flips one bit, at a share (0 to 1) of the file. */
function flip(name: string, share: number): Damage {
  return {
    name,
    to: async (path) => {
      const { size } = await stat(path);
      await flipBit(path, Math.min(size - 1, Math.floor(size * share)));
    },
  };
}

export async function flipBit(path: string, position: number): Promise<void> {
  const handle = await open(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, position);
    byte[0] = (byte[0] as number) ^ 1;
    await handle.write(byte, 0, 1, position);
  } finally {
    await handle.close();
  }
}

const shortenBy = (name: string, share: number): Damage => ({
  name,
  to: async (path) => await truncate(path, Math.floor((await stat(path)).size * (1 - share))),
});

const ALL: readonly Damage[] = [
  flip("first byte", 0),
  flip("middle byte", 0.5),
  flip("last byte", 1),
  shortenBy("cut in half", 0.5),
  shortenBy("cut to nothing", 1),
  { name: "last byte gone", to: async (path) => await truncate(path, (await stat(path)).size - 1) },
  { name: "a byte more", to: async (path) => await writeFile(path, Buffer.from([1]), { flag: "a" }) },
  { name: "zeros instead", to: async (path) => await writeFile(path, Buffer.alloc((await readFile(path)).length)) },
];

/** The short form leaves out what another one of them resembles. */
export const DAMAGES = inForm({ short: ALL.filter((_, index) => [0, 2, 3, 6].includes(index)), long: ALL });
