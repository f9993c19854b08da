import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { WarmImage } from "../upkeep/warm/warm.ts";
import { Progress } from "./progress.ts";
import type { Output } from "./terminal.ts";
import { outcomeLine, progressLines } from "./warm-text.ts";

const MIB = 1024 * 1024;
const IMAGE: WarmImage = {
  reference: "nginx:1.27",
  state: "running",
  bytes: 10 * MIB,
  bytesThere: 4 * MIB,
  blobs: 3,
  blobsFetched: 1,
};
const RATES = { all: 2 * MIB, of: () => MIB };

suite("what warming says", () => {
  test("has a bar for each image under way, and a line for all of them", () => {
    const lines = progressLines(
      [IMAGE, { ...IMAGE, reference: "b", state: "done" }, { ...IMAGE, state: "failed" }],
      5,
      RATES,
    );
    assert.deepEqual(lines, [
      "nginx:1.27                                    [========            ]  40%  4.0 MiB of 10 MiB  1.0 MiB/s",
      "1 of 5 done  1 failed  12 MiB  2.0 MiB/s",
    ]);
  });

  test("stays short with many images, and with long or hostile names", () => {
    const many = Array.from({ length: 40 }, (_, at) => ({ ...IMAGE, reference: `${"very/".repeat(40)}long:${at}` }));
    const lines = progressLines(many, 40, RATES);
    assert.equal(lines.length, 9);
    assert.ok(lines.every((line) => line.length < 110));
    assert.ok(!progressLines([{ ...IMAGE, reference: "a\u001b[2Jb" }], 1, RATES)[0]?.includes("\u001b"));
    assert.match(progressLines([{ ...IMAGE, blobs: 0 }], 1, RATES)[0] ?? "", /asking its registry/);
    assert.match(progressLines([{ ...IMAGE, bytes: 0 }], 1, RATES)[0] ?? "", / 0%/);
  });

  test("says how each image ended", () => {
    const done = { ...IMAGE, state: "done" } as const;
    assert.equal(outcomeLine(done), "done: nginx:1.27 (10 MiB, 1 blob fetched)\n");
    assert.equal(outcomeLine({ ...done, blobsFetched: 0 }), "done: nginx:1.27 (was held already)\n");
    assert.match(
      outcomeLine({ ...done, stale: "timeout" }),
      /\nwarning: nginx:1.27: upstream could not be asked \(timeout\)/,
    );
    const error = { status: 404, code: "MANIFEST_UNKNOWN", message: "not\u001b[0m there" };
    assert.equal(outcomeLine({ ...IMAGE, state: "failed", error }), "failed: nginx:1.27: not\\u{1b}[0m there\n");
  });
});

function outputTo(written: string[], isTerminal: boolean, columns?: number): Output {
  return { write: (text) => void written.push(text), isTerminal, hasColors: false, columns: () => columns };
}

suite("progress", () => {
  test("on a terminal takes its lines back before it writes others", (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const written: string[] = [];
    let lines = ["first line", "second line"];
    const progress = new Progress(outputTo(written, true, 9), () => lines);
    progress.start();
    t.mock.timers.tick(200);
    lines = ["one"];
    t.mock.timers.tick(200);
    progress.say("said\n");
    progress.stop();
    assert.deepEqual(written, ["first li\nsecond l", "\r\u001b[1A\u001b[0Jone", "\r\u001b[0Jsaid\n"]);
  });

  test("elsewhere adds a line now and then, the last one", (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const written: string[] = [];
    const progress = new Progress(outputTo(written, false), () => ["bar", "all"]);
    progress.start();
    t.mock.timers.tick(9_000);
    progress.say("said\n");
    t.mock.timers.tick(1_000);
    progress.stop();
    assert.deepEqual(written, ["said\n", "all\n"]);
  });
});
