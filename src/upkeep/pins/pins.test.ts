import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { digest } from "../../../test/contracts/catalog/samples.ts";
import { nearly, prove } from "../../../test/support/property.ts";
import { tempDir } from "../../../test/support/temp.ts";
import { ValueError } from "../../lib/value-error.ts";
import type { Tag } from "../../oci/reference.ts";
import { compilePin, parsePins, PINS_MAX, withPin } from "./pin-list.ts";
import { Pins, PinsFullError } from "./pins.ts";

const REGISTRIES = [
  { id: "dockerhub", serves: "docker.io", aliases: ["index.docker.io"], libraryPrefix: true },
  { id: "corp", serves: "localhost:5001", aliases: [], libraryPrefix: false },
];
const A = digest("a");

async function setUp(t: TestContext, configured: readonly string[] = []) {
  const path = join(await tempDir(t), "pins.txt");
  const warnings: unknown[] = [];
  const log = { warn: (about: unknown) => void warnings.push(about) };
  return { path, warnings, pins: new Pins({ path, configured, registries: REGISTRIES, log }) };
}

function image(path: string, tags: string[] = [], digests = [digest("root")]) {
  return { path, tags: tags as Tag[], digests };
}

test("a pin stands in the file under its whole name, with its note, and once", async (t) => {
  const { pins, path } = await setUp(t, ["localhost:5001/**:v*"]);
  assert.deepEqual(await pins.add("nginx:1.27", "  the shop\nneeds it "), {
    reference: "docker.io/library/nginx:1.27",
    note: "  the shop\nneeds it ",
  });
  await pins.add(`index.docker.io/library/nginx:1.27@${A}`);
  await pins.add("docker.io/library/nginx:1.27", "another");
  assert.deepEqual(await pins.list(), [
    { reference: "localhost:5001/**:v*", note: undefined, from: "configuration" },
    { reference: `docker.io/library/nginx:1.27@${A}`, note: undefined, from: "file" },
    { reference: "docker.io/library/nginx:1.27", note: "another", from: "file" },
  ]);
  const lines = (await readFile(path, "utf8")).split("\n");
  assert.deepEqual(lines.slice(-3), [
    `docker.io/library/nginx:1.27@${A}`,
    "docker.io/library/nginx:1.27 # another",
    "",
  ]);
  assert.deepEqual(await pins.remove(["nginx:1.27", "nginx:1.26"]), ["docker.io/library/nginx:1.27"]);
  assert.equal((await pins.list()).length, 2);
  assert.deepEqual(
    [...(await pins.now()).holds().values()],
    [{ path: "docker.io/library/nginx", tag: "1.27", digest: A }],
  );
});

test("lines of people's own stay, what cannot be read pins nothing and is told", async (t) => {
  const { pins, path, warnings } = await setUp(t);
  await writeFile(path, "# mine\r\n\r\nnginx  # a note # with more\nnot an image:::\nlocalhost:5001/team/*\n");
  assert.deepEqual(
    (await pins.list()).map(({ reference, note }) => [reference, note]),
    [
      ["docker.io/library/nginx", "a note # with more"],
      ["localhost:5001/team/*", undefined],
    ],
  );
  assert.deepEqual(warnings, [{ file: path, lines: [4] }]);
  await pins.add("redis:7");
  assert.match(await readFile(path, "utf8"), /^# mine\n\nnginx  # a note # with more\nnot an image:::\n/);
});

test("what is no image is refused, and so is one more than are looked through", async (t) => {
  const { pins, path } = await setUp(t);
  for (const bad of ["", "Nginx", "nginx:1:2", "nginx@sha256:00", "a b", "[", "org/*"])
    await assert.rejects(pins.add(bad), ValueError, bad);
  await writeFile(path, Array.from({ length: PINS_MAX }, (_, at) => `nginx:${at}\n`).join(""));
  await pins.add("nginx:5", "again");
  await assert.rejects(pins.add("redis:7"), PinsFullError);
});

test("a pin matches by repository, tag, digest, or pattern", () => {
  const matches = (reference: string, ...of: Parameters<typeof image>) =>
    compilePin(reference, REGISTRIES).matches(image(...of));
  const nginx = "docker.io/library/nginx";
  assert.ok(matches("nginx", nginx));
  assert.ok(!matches("nginx", "docker.io/library/nginx2", ["latest"]));
  assert.ok(matches("nginx:1.27", nginx, ["1", "1.27"]));
  assert.ok(!matches("nginx:1.27", nginx, ["1.26"]));
  assert.ok(matches(`nginx@${A}`, nginx, [], [digest("root"), A]));
  assert.ok(!matches(`nginx@${A}`, "docker.io/library/redis", [], [A]));
  assert.ok(matches(`nginx:1.27@${A}`, nginx, ["1.27"]), "what the tag leads to now");
  assert.ok(matches(`nginx:1.27@${A}`, nginx, [], [A]), "where it is held");
  assert.ok(matches("docker.io/library/*", nginx));
  assert.ok(matches("localhost:5001/**:v*", "localhost:5001/a/b", ["main", "v2"]));
  assert.ok(!matches("localhost:5001/**:v*", "localhost:5001/a/b", ["main"]));
  assert.ok(matches("gone.example/app:1", "gone.example/app", ["1"]), "of a registry that is not configured");
});

test("any text is read without an error, and what is added to it is there", async () => {
  const texts = ["nginx:1.27 # a note\n", "# c\n\nlocalhost:5001/**:v*\n", `nginx:1@${A}\n`];
  await prove(
    fc.asyncProperty(nearly(texts), async (text) => {
      const parsed = parsePins(text, REGISTRIES);
      const added = withPin(parsed, { reference: "docker.io/library/redis:7", note: "n" }, REGISTRIES);
      const again = parsePins(added ?? "", REGISTRIES);
      assert.equal(again.pins.at(-1)?.reference, "docker.io/library/redis:7");
      assert.equal(again.pins.at(-1)?.note, "n");
      const others = parsed.pins.filter(({ reference }) => reference !== "docker.io/library/redis:7");
      assert.deepEqual(
        again.pins.slice(0, -1).map(({ reference }) => reference),
        others.map(({ reference }) => reference),
      );
    }),
  );
});

test("what the file would take for a comment is refused, not written", async (t) => {
  const { pins } = await setUp(t);
  for (const reference of ["#*", "#docker.io/library/*", "docker.io/library/#*"])
    await assert.rejects(pins.add(reference), ValueError);
  assert.deepEqual(await pins.list(), []);
});
