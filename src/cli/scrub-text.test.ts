import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { ScrubAnswer } from "../admin/api/answers.ts";
import { scrubLine, scrubText } from "./scrub-text.ts";

const MIB = 1024 * 1024;
const NEVER: ScrubAnswer = { isRunning: false, blobs: 0, blobsDone: 0, bytes: 0, bytesDone: 0, damaged: 0, healed: 0 };
const BEGUN: ScrubAnswer = {
  ...NEVER,
  blobs: 40,
  blobsDone: 10,
  bytes: 400 * MIB,
  bytesDone: 100 * MIB,
  startedAt: "2026-11-26T12:00:00.000Z",
};
const OVER = { ...BEGUN, blobsDone: 40, bytesDone: 400 * MIB, finishedAt: "2026-11-26T13:00:00.000Z" };

suite("what a scrub says", () => {
  test("while it goes on", () => {
    assert.equal(scrubLine(BEGUN, 50 * MIB), "[=====               ]  25%  100 MiB of 400 MiB  50 MiB/s");
    assert.equal(
      scrubLine({ ...BEGUN, damaged: 2, healed: 1 }, 0),
      "[=====               ]  25%  100 MiB of 400 MiB  0 B/s  2 damaged, 1 of them fetched anew",
    );
    assert.equal(scrubLine(NEVER, 0), "[                    ]   0%  0 B of 0 B  0 B/s");
  });

  for (const [name, scrub, text] of [
    ["before the first", NEVER, "nothing was ever hashed anew: registry-cache scrub begins it\n"],
    [
      "under way",
      { ...BEGUN, isRunning: true },
      "under way since 2026-11-26T12:00:00.000Z: 10 of 40 blobs, 100 MiB of 400 MiB\n",
    ],
    ["stopped", BEGUN, "stopped: 10 of 40 blobs, 100 MiB of 400 MiB; registry-cache scrub goes on from there\n"],
    [
      "stopped, after another that was not",
      { ...BEGUN, finishedAt: "2026-11-01T13:00:00.000Z" },
      "stopped: 10 of 40 blobs, 100 MiB of 400 MiB; registry-cache scrub goes on from there\n",
    ],
    [
      "over",
      OVER,
      "all that is stored was hashed until 2026-11-26T13:00:00.000Z: 40 blobs, 400 MiB; nothing is damaged\n",
    ],
    [
      "over, with damage",
      { ...OVER, damaged: 3, healed: 1 },
      "all that is stored was hashed until 2026-11-26T13:00:00.000Z: 40 blobs, 400 MiB; 3 damaged, 1 of them fetched anew\n" +
        "2 could not be fetched anew and are held no longer; the cache's log names them\n",
    ],
  ] as const) {
    test(name, () => assert.equal(scrubText(scrub), text));
  }
});
