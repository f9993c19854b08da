import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";

/** Looks at passwords in a thread of its own: each takes as long as hundreds of pulls. */
parentPort?.on("message", ({ id, hash, password }: { id: number; hash: string; password: string }) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage({ id, isRight: isRight(hash, password) });
});

/** What the library refuses is nobody's hash; it must not end the thread for everybody else. */
function isRight(hash: string, password: string): boolean {
  try {
    return compareSync(password, hash);
  } catch {
    return false;
  }
}
