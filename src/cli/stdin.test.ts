import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { CliError } from "./failure.ts";
import { standardInput } from "./stdin.ts";

for (const [name, typed] of [
  ["Ctrl+C", "\x03"],
  ["Ctrl+D", "\x04"],
  ["Ctrl+D behind some letters", "abc\x04"],
] as const) {
  test(`${name} gives a question up`, async () => {
    const [keys, screen] = [new PassThrough(), new PassThrough().resume()];
    const asking = standardInput(keys, screen).askSecret("Password");
    screen.once("data", () => setImmediate(() => keys.write(typed)));
    await assert.rejects(asking, new CliError("given up; nothing was changed"));
  });
}

test("what is typed is the answer", async () => {
  const [keys, screen] = [new PassThrough(), new PassThrough().resume()];
  const asking = standardInput(keys, screen).askSecret("Password");
  screen.once("data", () => setImmediate(() => keys.write("correct horse\r")));
  assert.equal(await asking, "correct horse");
});
