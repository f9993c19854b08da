import assert from "node:assert/strict";
import { readdir, readlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const DESCRIPTORS = "/proc/self/fd";
const TRIES_MAX = 500;
const BETWEEN_TRIES_MS = 10;

/** What this process has open: paths of files, `socket:[...]` and the like. */
export async function openFiles(): Promise<string[]> {
  const names = await readdir(DESCRIPTORS);
  // One may be closed between the two calls, as the folder itself is.
  const targets = await Promise.all(
    names.map(async (name) => await readlink(`${DESCRIPTORS}/${name}`).catch(() => "")),
  );
  return targets.filter((target) => target !== "");
}

/** Asks until it is true: the operating system tells nobody that a descriptor was closed. */
export async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (await isTrue()) return;
    await delay(BETWEEN_TRIES_MS);
  }
  assert.fail(`never came true: ${isTrue.toString()}`);
}
