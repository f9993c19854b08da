import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { cacheView } from "../../test/support/cache-views.ts";
import { FakeHost } from "../../test/support/fake-host.ts";
import { prove } from "../../test/support/property.ts";
import { BY_DEFAULT } from "./client.ts";
import { docker } from "./docker.ts";
import { setupScript } from "./script.ts";

const MIRROR = "https://cache.example.com";
const SCRIPT = setupScript(docker, cacheView(), BY_DEFAULT);
const FILE = "etc/docker/daemon.json";

type Daemon = Record<string, unknown>;

const parsed = (text: string): Daemon => JSON.parse(text.replace(/^\uFEFF/, "")) as Daemon;

function withMirror(daemon: Daemon): Daemon {
  const others = ((daemon["registry-mirrors"] ?? []) as string[]).filter(
    (one, at, all) => one !== MIRROR || all.indexOf(one) !== at,
  );
  return { ...daemon, "registry-mirrors": [MIRROR, ...others] };
}

/** Blanks as people and editors leave them. */
const blank = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const word = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.constantFrom("registry-mirrors", "insecure-registries", '"', "\\", "}", "]", ",", ":", "{", "é", "\u0001", MIRROR),
);
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.oneof(word, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie("any"), { maxLength: 3 }),
    fc.dictionary(word, tie("any"), { maxKeys: 3 }),
  ),
})).any;

/** Not of what JSON.stringify would escape: such keys are refused. */
const daemon = fc
  .tuple(
    fc.dictionary(fc.stringMatching(/^[a-z-]{1,8}$/), value, { maxKeys: 4 }),
    fc.option(
      fc.array(fc.oneof(fc.constant(MIRROR), fc.constantFrom("https://a.example", "https://b.example")), {
        maxLength: 4,
      }),
    ),
  )
  .map(([others, mirrors]): Daemon => (mirrors === null ? others : { ...others, "registry-mirrors": mirrors }));

const document = fc
  .tuple(daemon, fc.constantFrom(undefined, 1, 2, "\t"), blank, blank, fc.boolean(), fc.boolean())
  .map(([object, indent, before, behind, hasMark, isCrlf]) => {
    const text = `${before}${JSON.stringify(object, null, indent)}${behind}`;
    return `${hasMark ? "\uFEFF" : ""}${isCrlf ? text.replaceAll("\n", "\r\n") : text}`;
  });

describe("a text in a list of somebody's JSON", () => {
  test("comes first, all else stays, and undoing brings the same bytes back", async (t) => {
    await prove(
      fc.asyncProperty(document, async (text) => {
        const host = await FakeHost.create(t, { [FILE]: text });
        const before = await host.tree();
        const { exitCode, err } = await host.run(SCRIPT);
        assert.equal(exitCode, 0, err);
        assert.deepEqual(parsed(await host.read(FILE)), withMirror(parsed(text)));
        if (
          parsed(text)["registry-mirrors"] === undefined ||
          (parsed(text)["registry-mirrors"] as string[])[0] !== MIRROR
        ) {
          assert.equal((await host.run(SCRIPT, { flags: ["--undo"] })).exitCode, 0);
        }
        assert.deepEqual((await host.tree())[FILE], before[FILE]);
      }),
      12,
    );
  });

  test("goes alone where somebody has edited the file meanwhile", async (t) => {
    await prove(
      fc.asyncProperty(document, async (text) => {
        const mirrors = (parsed(text)["registry-mirrors"] ?? []) as string[];
        fc.pre(!mirrors.includes(MIRROR));
        const host = await FakeHost.create(t, { [FILE]: text });
        await host.run(SCRIPT);
        const edited = `${await host.read(FILE)}\n\n`;
        await host.write(FILE, edited);
        const { exitCode, err } = await host.run(SCRIPT, { flags: ["--undo"] });
        assert.equal(exitCode, 0, err);
        assert.deepEqual(parsed(await host.read(FILE)), parsed(text));
      }),
      8,
    );
  });

  for (const [title, text, message] of [
    ["cut short", '{"a": [1, 2', /is no JSON that can be read, at line 1/],
    ["with a comma too many", '{"a": 1,}', /is no JSON that can be read, at line 1/],
    ["with comments", '{\n  // mine\n  "a": 1\n}', /is no JSON that can be read, at line 2/],
    ["a list", "[]", /is no JSON object/],
    ["with something behind its end", "{} {}", /is no JSON that can be read/],
    ["with a text where the list would be", '{"registry-mirrors": "x"}', /has no list below "registry-mirrors"/],
    ["with numbers in the list", '{"registry-mirrors": [1]}', /has something other than texts below/],
    ["with the key twice", '{"registry-mirrors": [], "registry-mirrors": []}', /has "registry-mirrors" twice/],
    ["with a key that is written otherwise", '{"registry\\u002dmirrors": []}', /has a key with a \\ in it/],
    ["with a line break in a text", '{"a": "b\nc"}', /is no JSON that can be read, at line 2/],
    ["in UTF-16", Buffer.from("\uFEFF{}", "utf16le").toString("latin1"), /is no JSON object/],
  ] as const) {
    test(`${title}: is refused, and left alone`, async (t) => {
      const host = await FakeHost.create(t, { [FILE]: text });
      const before = await host.tree();
      const { exitCode, err } = await host.run(SCRIPT);
      assert.equal(exitCode, 1);
      assert.match(err, message);
      assert.ok(err.includes(host.path(FILE)));
      assert.deepEqual(await host.tree(), before);
    });
  }

  test("an empty file counts as an empty object", async (t) => {
    const host = await FakeHost.create(t, { [FILE]: "" });
    await host.run(SCRIPT);
    assert.deepEqual(parsed(await host.read(FILE)), { "registry-mirrors": [MIRROR] });
    await host.run(SCRIPT, { flags: ["--undo"] });
    assert.equal(await host.read(FILE), "");
  });

  test("lines end as the others do", async (t) => {
    const host = await FakeHost.create(t, { [FILE]: '{\r\n  "debug": true\r\n}' });
    await host.run(SCRIPT);
    assert.equal(await host.read(FILE), `{\r\n  "registry-mirrors": ["${MIRROR}"],\r\n  "debug": true\r\n}`);
  });
});
