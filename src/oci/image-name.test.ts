import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import { parseRepositoryName, repositoryPath } from "./reference.ts";
import { parseImageName } from "./image-name.ts";

const REGISTRIES = [
  { id: "dockerhub", serves: "docker.io", aliases: ["index.docker.io"], libraryPrefix: true },
  { id: "corp", serves: "localhost:5001", aliases: [], libraryPrefix: false },
];
const DIGEST = `sha256:${"a".repeat(64)}`;

function read(text: string): string {
  const name = parseImageName(text, REGISTRIES);
  if ("problem" in name) return name.problem;
  return [name.repository.registryId, repositoryPath(name.repository), name.tag ?? "-", name.digest ?? "-"].join(" ");
}

suite("the name of an image", () => {
  test("is read as clients read it", () => {
    const expected = {
      nginx: "dockerhub docker.io/library/nginx - -",
      "nginx:1.27": "dockerhub docker.io/library/nginx 1.27 -",
      "org/app": "dockerhub docker.io/org/app - -",
      "docker.io/nginx:1": "dockerhub docker.io/library/nginx 1 -",
      "index.docker.io/library/nginx": "dockerhub docker.io/library/nginx - -",
      [`docker.io/org/app:1@${DIGEST}`]: `dockerhub docker.io/org/app 1 ${DIGEST}`,
      "localhost:5001/app": "corp localhost:5001/app - -",
      "localhost:5001/a/b:c": "corp localhost:5001/a/b c -",
    };
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((text) => [text, read(text)])), expected);
  });

  test("is refused where there is none, and where its registry is not ours", () => {
    for (const text of ["", "/", "a//b", "UPPER", "nginx:", "nginx@sha256:1", "docker.io/", "a:b:c", "../a", "a b"]) {
      assert.equal(read(text), "bad", text);
    }
    for (const text of ["quay.io/a", "localhost/a", "a.example:5000/b:1"]) assert.equal(read(text), "unknown", text);
    assert.equal(read("x".repeat(5_000)), "bad");
  });

  test("leads to no repository that could not be pulled, whatever it is", () => {
    const texts = ["docker.io/library/nginx:1.27", `localhost:5001/a/b@${DIGEST}`, "nginx"];
    prove(
      fc.property(nearly(texts), (text) => {
        const name = parseImageName(text, REGISTRIES);
        if ("problem" in name) return;
        assert.notEqual(parseRepositoryName(name.repository.name), undefined);
        assert.ok(REGISTRIES.some(({ serves }) => serves === name.repository.serves));
      }),
    );
  });
});
