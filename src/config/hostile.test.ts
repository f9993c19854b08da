import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./errors.ts";
import { CONFIG_BYTES_MAX } from "./files.ts";
import { loadConfig } from "./load.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "registry-cache-hostile-"));
});
after(() => rm(folder, { recursive: true }));

/** The configuration that a file amounts to, or what is wrong with it; any other error is a failure of the test. */
async function outcome(text: string | Uint8Array, environment: NodeJS.ProcessEnv = {}): Promise<Config | ConfigError> {
  await writeFile(join(folder, "registry-cache.yaml"), text);
  try {
    return await loadConfig({ environment, cwd: folder, isTerminal: false });
  } catch (error) {
    assert.ok(error instanceof ConfigError, error instanceof Error ? error.stack : String(error));
    return error;
  }
}

async function rendered(text: string | Uint8Array): Promise<string> {
  const result = await outcome(text);
  assert.ok(result instanceof ConfigError, "it was taken");
  return result.render();
}

/** Every problem is an `error:` line that names a place, perhaps with a `hint:` line, and nothing else is printed. */
function assertReadable(error: ConfigError): void {
  assert.ok(error.problems.length > 0);
  for (const line of error.render().split("\n")) assert.match(line, /^(error|hint): \P{Cc}+$/u);
}

function assertUsable(config: Config): void {
  assert.ok(config.listen.length > 0);
  assert.ok(config.registries.some(({ id }) => id === config.defaultRegistry));
  for (const { tags, upstream } of config.registries) {
    assert.equal(tags.at(-1)?.match, "*");
    assert.equal(new URL(upstream).origin, upstream);
  }
}

const EXAMPLE = `listen: [127.0.0.1:5000, "[::1]:5000"]
min_free_disk: 1GiB
default_registry: dockerhub
registries:
  dockerhub: &hub
    hostnames: [hub.cache.example.com]
    username: "me"
    tags:
      - { match: "v[0-9]*", revalidate_after: 24h }
      - match: "*"
        revalidate_after: 60s
  codeberg: { enabled: false }
  corp:
    serves: registry.corp.example
    upstream: https://registry.corp.example
    requests_per_second: 0.5
`;

describe("whatever text stands in the file", () => {
  const KEYS = [
    "listen",
    "registries",
    "dockerhub",
    "corp",
    "tags",
    "match",
    "hostnames",
    "log",
    "__proto__",
    "serves",
  ];
  const scalar = fc.oneof(
    fc.constantFrom(
      ...KEYS,
      "null",
      "~",
      "true",
      "1e999",
      "0x10",
      "60s",
      "200GiB",
      "docker.io",
      "'*'",
      "!!set",
      "&a",
      "*a",
      '""',
    ),
    fc.string({ maxLength: 12, unit: "binary" }),
  );
  const lines = fc.array(
    fc.record({ indent: fc.nat(4), dash: fc.boolean(), key: fc.constantFrom(...KEYS, "", "? "), value: scalar }),
    { maxLength: 14 },
  );
  const yamlLike = lines.map((all) =>
    all.map(({ indent, dash, key, value }) => `${"  ".repeat(indent)}${dash ? "- " : ""}${key}: ${value}\n`).join(""),
  );
  const value = fc.letrec<{ any: unknown }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        null,
        true,
        -1,
        0,
        5000,
        1.5,
        "",
        "docker.io",
        "http://a.example",
        "60s",
        "me",
        "*",
        "127.0.0.1:1",
      ),
      fc.string({ maxLength: 8, unit: "binary" }),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...KEYS, "upstream", "revalidate_after", "enabled", "username", "ca"), tie("any"), {
        maxKeys: 5,
      }),
    ),
  })).any;
  // JSON is YAML: these get past the parser, to the schema and the checks behind it.
  const json = fc
    .dictionary(fc.constantFrom(...KEYS, "default_registry", "data_dir"), value, { maxKeys: 5 })
    .map((one) => JSON.stringify(one));

  const almost = nearly([EXAMPLE]);
  for (const [name, texts] of Object.entries({ json, yamlLike, almost, bytes: fc.uint8Array({ maxLength: 60 }) })) {
    test(`it is a usable configuration or readable problems (${name})`, async () => {
      await prove(
        fc.asyncProperty(texts, async (text) => {
          const result = await outcome(text);
          if (result instanceof ConfigError) assertReadable(result);
          else assertUsable(result);
        }),
        300,
      );
    });
  }

  test("the environment may hold anything as well", async () => {
    const names = fc.constantFrom(
      "LISTEN",
      "DATA_DIR",
      "LOG_LEVEL",
      "WORKERS",
      "REGISTRIES",
      "NETWORKS",
      "TRUSTED_PROXIES",
      "GHCR_HOSTNAMES",
      "DOCKERHUB_USERNAME",
      "DOCKERHUB_PASSWORD_FILE",
      "X",
    );
    const environments = fc.dictionary(
      names.map((name) => `REGISTRY_CACHE_${name}`),
      fc.string({ maxLength: 20, unit: "binary" }),
    );
    await prove(
      fc.asyncProperty(environments, async (environment) => {
        const result = await outcome("", environment);
        if (result instanceof ConfigError) assertReadable(result);
        else assertUsable(result);
      }),
      100,
    );
  });
});

describe("texts made to exhaust the parser are refused with the line", () => {
  test("braces inside each other, which it would need minutes for", async () => {
    assert.match(await rendered(`\nlisten: ${"{".repeat(2000)}`), /registry-cache\.yaml:2: is nested too deeply/);
  });

  test("explicit keys inside each other", async () => {
    assert.match(await rendered("? ".repeat(2000)), /registry-cache\.yaml:1: is nested too deeply/);
  });

  test("lists inside each other by indentation alone", async () => {
    assert.match(await rendered("- ".repeat(20_000)), /^error: registry-cache\.yaml/);
  });

  test("references that double at every line", async () => {
    const doubled = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join("\n");
    assert.match(
      await rendered(`a0: &a0 [x]\n${doubled}`),
      /registry-cache\.yaml:2: anchors are referred to too often/,
    );
  });

  test("a reference to what is not there", async () => {
    assert.match(
      await rendered("log:\n  level: *nowhere"),
      /registry-cache\.yaml:2: refers to an anchor that is not defined/,
    );
  });

  test("a file that is too large", async () => {
    assert.match(await rendered("#".repeat(CONFIG_BYTES_MAX + 1)), /registry-cache\.yaml: is larger than \d+ bytes/);
  });

  test("bytes that are not UTF-8", async () => {
    const text = Buffer.concat([Buffer.from("# é\ndata_dir: "), Buffer.from([0xe9, 0x0a])]);
    assert.match(await rendered(text), /registry-cache\.yaml:2: is not UTF-8/);
  });
});

test("a second document is not passed over", async () => {
  assert.match(
    await rendered("listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n"),
    /registry-cache\.yaml:2: a second document/,
  );
});

test("of many problems some are shown, and how many are left", async () => {
  const text = await rendered(Array.from({ length: 200 }, (_, i) => `colour${i}: 1\n`).join(""));
  assert.match(text, /\nerror: 150 further problems are not shown$/);
});

test("no secret is quoted, however wrong the place that it was written to", async () => {
  const secret = "hunter2-s3cr3t";
  const texts = [
    `registries: { dockerhub: { upstream: "https://me:${secret}@registry-1.docker.io" } }`,
    `registries: { dockerhub: { upstream: "me:${secret}@registry-1.docker.io" } }`,
    `registries: { dockerhub: { username: me, pasword: ${secret} } }`,
    `registries: { dockerhub: { username: me, password: "${secret}\\n" } }`,
    `registries: { dockerhub: { token: "${secret} x" } }`,
    `registries: { dockerhub: { username: "me:${secret}" } }`,
    `registries: { dockerhub: { password: ${secret} } }`,
    `registries: { dockerhub: { password: [${secret}] } }`,
    `registries: { dockerhub: { password: "${secret} } }`,
    `registries: { dockerhub: { password: !${secret} x } }`,
    `registries: { dockerhub: { password: *${secret} } }`,
  ];
  for (const text of texts) assert.ok(!(await rendered(text)).includes(secret), text);
});
