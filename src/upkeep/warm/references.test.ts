import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { nearly, prove } from "../../../test/support/property.ts";
import * as fc from "fast-check";
import { ReferencesError, referencesIn } from "./references.ts";

function named(text: string, variables: Record<string, string> = {}): Record<string, string> {
  const { references } = referencesIn(text, variables);
  return Object.fromEntries(references.map(({ reference, by }) => [reference, by]));
}

const COMPOSE = `
name: shop
x-common: &common
  image: redis:\${REDIS_TAG:-7}
services:
  web:
    image: "nginx:\${TAG}"
    volumes:
      - ./data:/data
      - { type: image, source: ghcr.io/org/files:1, target: /files }
  cache:
    <<: *common
  again: { image: "nginx:\${TAG}" }
  own:
    build: .
    image: shop-own
  missing: { image: "app:\${NOWHERE}" }
  odd: null
`;

const KUBERNETES = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  template:
    spec:
      initContainers: [{ name: init, image: "busybox:1.36" }]
      containers:
        - { name: web, image: "nginx:1.27" }
        - { name: none }
      ephemeralContainers: [{ name: debug, image: "registry.example:5000/tools/debug@sha256:${"a".repeat(64)}" }]
      volumes:
        - { name: model, image: { reference: "ghcr.io/org/model:v1", pullPolicy: Always } }
        - { name: plain, emptyDir: {} }
---
# Nothing here.
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec: { jobTemplate: { spec: { template: { spec: { containers: [{ image: "backup:2" }] } } } } }
---
apiVersion: v1
kind: List
items:
  - kind: Pod
    metadata: { name: alone }
    spec: { containers: [{ image: "alpine:3" }] }
  - kind: ConfigMap
    metadata: { name: settings }
    data: { containers: "image: not-this" }
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: { name: roll }
spec: { template: { spec: { containers: [{ image: "nginx:1.27" }, { image: "roll:1" }] } } }
`;

suite("images that files name", () => {
  test("in a Compose file, with its variables, but for what it builds", () => {
    assert.deepEqual(named(COMPOSE, { TAG: "1.27" }), {
      "nginx:1.27": "web",
      "ghcr.io/org/files:1": "web's volume",
      "redis:7": "cache",
    });
    const { kind, problems } = referencesIn(COMPOSE, { TAG: "1.27" });
    assert.equal(kind, "Compose file");
    assert.deepEqual(problems, ["missing: app:${NOWHERE}: NOWHERE is not set"]);
  });

  test("in Kubernetes manifests, wherever pods are described", () => {
    assert.deepEqual(named(KUBERNETES), {
      "nginx:1.27": "Deployment web",
      "busybox:1.36": "Deployment web",
      [`registry.example:5000/tools/debug@sha256:${"a".repeat(64)}`]: "Deployment web",
      "ghcr.io/org/model:v1": "Deployment web",
      "backup:2": "CronJob nightly",
      "alpine:3": "Pod alone",
      "roll:1": "Rollout roll",
    });
  });

  test("in JSON, which kubectl prints too", () => {
    const list = {
      kind: "List",
      items: [{ kind: "Pod", metadata: { name: "p" }, spec: { containers: [{ image: "a:1" }] } }],
    };
    assert.deepEqual(named(JSON.stringify(list)), { "a:1": "Pod p" });
  });

  test("in a plain list, one a line, with comments", () => {
    const list = "# ours\nnginx:1.27\r\n\n  ghcr.io/org/app:v1   # the app\nnginx:1.27\nlocalhost:5000/a\n";
    assert.deepEqual(named(list), {
      "nginx:1.27": "line 2",
      "ghcr.io/org/app:v1": "line 4",
      "localhost:5000/a": "line 6",
    });
    assert.deepEqual(named("nginx"), { nginx: "line 1" });
    assert.deepEqual(named(""), {});
    assert.deepEqual(named("# nothing\n"), {});
  });

  test("in anything else are not guessed", () => {
    const texts = {
      "two words\n": /line 1 is no image's name/,
      "version: 2\nfoo: bar\n": /neither a Compose file/,
      "services:\n  web: {image: [\n": /no YAML/,
      "kind: Pod\nspec: {a: b: c}\n": /no YAML/,
    };
    for (const [text, message] of Object.entries(texts)) assert.throws(() => referencesIn(text, {}), message, text);
  });

  test("of aliases upon aliases are refused", () => {
    const levels = Array.from({ length: 12 }, (_, at) => `l${at}: &l${at} [${`*l${at - 1},`.repeat(9)}]`);
    const bomb = ["services: {}", "l0: &l0 [x]", ...levels.slice(1)].join("\n");
    assert.throws(() => referencesIn(bomb, {}), ReferencesError);
  });

  test("of a depth that nobody writes are passed over", () => {
    const deep = `kind: Pod\nmetadata: {name: p}\nspec: ${"{a: ".repeat(200)}{containers: [{image: x}]}${"}".repeat(200)}\n`;
    assert.deepEqual(named(deep), {});
  });

  test("are texts without blanks, whatever is read; what is none is an error of ours", () => {
    prove(
      fc.property(nearly([COMPOSE, KUBERNETES, "nginx:1 # c\nredis\n"]), (text) => {
        try {
          for (const { reference } of referencesIn(text, { TAG: "1" }).references) assert.notEqual(reference, "");
        } catch (error) {
          assert.ok(error instanceof ReferencesError, String(error));
        }
      }),
    );
  });
});

suite("files that are made to keep us busy", () => {
  test("a text that is far too long for a name is not searched for variables", () => {
    const { references, problems } = referencesIn(`services: { a: { image: "${"${a".repeat(500_000)}" } }`, {});
    assert.deepEqual(references, []);
    assert.match(problems[0] ?? "", /^a: \$\{a.*\.\.\.: too long for an image's name$/);
  });

  test("blank lines before what is no YAML are passed over", () => {
    assert.throws(() => referencesIn(`${"\n".repeat(300_000)}x: "`, {}), ReferencesError);
  });
});
