import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";

/** Looks at passwords in a thread of its own: each takes as long as hundreds of pulls. */
parentPort?.on("message", ({ id, hash, password }: { id: number; hash: string; password: string }) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage({ id, isRight: compareSync(password, hash) });
});
