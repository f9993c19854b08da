import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../test/support/bytes.ts";
import { parseRepositoryName, parseTag, type RepositoryName, type Tag } from "../oci/reference.ts";
import { HoldsInMemory } from "../pull/holds.ts";
import { HeldTags } from "./held-tags.ts";

const REGISTRIES = [
  { id: "dockerhub", serves: "docker.io" },
  { id: "corp", serves: "docker.io.corp.example:5000" },
];
const tagOf = (text: string) => parseTag(text) as Tag;
const nginx = {
  registryId: "dockerhub",
  serves: "docker.io",
  name: parseRepositoryName("library/nginx") as RepositoryName,
};
const corp = {
  registryId: "corp",
  serves: "docker.io.corp.example:5000",
  name: parseRepositoryName("a/b") as RepositoryName,
};
const [good, other] = [sha256(Buffer.from("good")), sha256(Buffer.from("other"))];

function setUp() {
  const holds = new HoldsInMemory();
  const heard: string[] = [];
  holds.onChange(({ name }, tag) => heard.push(`${name}:${tag}`));
  const list = {
    lines: [] as { path: string; tag: Tag; digest: typeof good }[],
    problem: undefined as Error | undefined,
  };
  const warned: string[] = [];
  const held = new HeldTags({
    listed: async () => {
      if (list.problem !== undefined) throw list.problem;
      return list.lines;
    },
    registries: REGISTRIES,
    holds,
    log: { warn: (_: unknown, text?: string) => void warned.push(text ?? "") },
  });
  return { holds, heard, list, warned, held };
}

test("what is listed is held, what is taken from the list is released, and only that is told", async () => {
  const { holds, heard, list, held } = setUp();
  list.lines = [
    { path: "docker.io/library/nginx", tag: tagOf("1"), digest: good },
    { path: "docker.io/library/nginx", tag: tagOf("2"), digest: good },
    { path: "docker.io.corp.example:5000/a/b", tag: tagOf("1"), digest: good },
    { path: "unknown.example/a/b", tag: tagOf("1"), digest: good },
    { path: "docker.io/NOT/A/NAME", tag: tagOf("1"), digest: good },
  ];
  await held.refresh();
  await held.refresh();
  assert.deepEqual(heard.splice(0), ["library/nginx:1", "library/nginx:2", "a/b:1"]);
  assert.equal(holds.digestOf(corp, tagOf("1")), good);
  list.lines = [{ path: "docker.io/library/nginx", tag: tagOf("2"), digest: other }];
  await held.refresh();
  assert.deepEqual(heard, ["library/nginx:1", "a/b:1", "library/nginx:2"]);
  assert.deepEqual([...holds.of(nginx)], [[tagOf("2"), other]]);
  assert.deepEqual([...holds.of(corp)], []);
});

test("while the list cannot be read all stays held, and the log says so once", async () => {
  const { holds, list, warned, held } = setUp();
  list.lines = [{ path: "docker.io/library/nginx", tag: tagOf("1"), digest: good }];
  await held.refresh();
  list.problem = new Error("EACCES");
  await held.refresh();
  await held.step().run(new AbortController().signal);
  assert.equal(warned.length, 1);
  assert.equal(holds.digestOf(nginx, tagOf("1")), good);
  list.problem = undefined;
  list.lines = [];
  await held.refresh();
  assert.equal(holds.digestOf(nginx, tagOf("1")), undefined);
});
