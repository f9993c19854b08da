import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { configFolder } from "../../test/support/config-folder.ts";
import { ConfigError } from "./errors.ts";
import { effectiveYaml } from "./effective.ts";

/** What is wrong with a file, a line each. */
async function problemsOf(t: Parameters<typeof configFolder>[0], yaml: string): Promise<string[]> {
  const folder = await configFolder(t);
  try {
    await folder.load({ files: { given: "0123456789", "registry-cache.yaml": yaml } });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message, hint }) => `${path}: ${message} (${hint})`);
  }
}

describe("what governs the cache", () => {
  it("is read with its units", async (t) => {
    const folder = await configFolder(t);
    const config = await folder.load({
      files: {
        "hook.secret": "0123456789\n",
        "registry-cache.yaml": `
max_size: 200GiB
max_age: 90d
pins: ["docker.io/library/*", "docker.io/library/*", "ghcr.io/org/**:v*"]
api: { hostnames: [API.example.com], read: open, metrics: admins, admins: [alice] }
webhooks:
  - { url: "https://hooks.example.com/s3cr3t", events: [tag.moved, tag.moved], secret_file: hook.secret }
  - url: http://127.0.0.1:9000/
registries:
  dockerhub: { max_size: 100GB, max_bandwidth: 50MB/s, quota_reserve: 25% }
`,
      },
    });
    assert.equal(config.maxSizeBytes, 200 * 1024 ** 3);
    assert.equal(config.maxAgeMs, 90 * 24 * 3_600_000);
    assert.deepEqual(config.pins, ["docker.io/library/*", "ghcr.io/org/**:v*"]);
    assert.deepEqual(config.api, {
      hostnames: ["api.example.com"],
      read: "open",
      metrics: "admins",
      admins: ["alice"],
    });
    assert.deepEqual(config.webhooks[0], {
      url: "https://hooks.example.com/s3cr3t",
      events: ["tag.moved"],
      secret: "0123456789",
    });
    assert.equal(config.webhooks[1]?.events.length, 11);
    const hub = config.registries.find(({ id }) => id === "dockerhub");
    assert.equal(hub?.maxSizeBytes, 100e9);
    assert.equal(hub?.bytesPerSecond, 50e6);
    assert.equal(hub?.quotaReserveShare, 0.25);
    const shown = effectiveYaml(config);
    assert.ok(!shown.includes("s3cr3t") && !shown.includes("0123456789"), shown);
  });

  it("is refused with a hint where it is wrong", async (t) => {
    const wrong = {
      "max_size: 200": /^max_size: "200" has no unit/,
      "max_size: 10KiB": /^max_size: is too small to hold an image/,
      "max_age: 5m": /^max_age: is too short/,
      "pins: [nginx]":
        /^pins.0.: "nginx" does not begin with a registry's name \(such as "docker.io\/library\/nginx"\)/,
      "pins: ['docker.io/library/nginx@sha256:00']": /^pins.0.: .* can match no image/,
      "webhooks: [{ url: hooks.example.com }]": /^webhooks.0..url: is not an http/,
      "webhooks: [{ url: 'https://a.example', events: [] }]": /^webhooks.0..events: has no event/,
      "webhooks: [{ url: 'https://a.example', events: [tag.gone] }]": /^webhooks.0..events.0.: "tag.gone" is none of/,
      "webhooks: [{ url: 'https://a.example', secret_file: nowhere }]": /^webhooks.0..secret_file: "nowhere"/,
      "webhooks: [{ url: 'https://a.example', secret_file: given, secret: b }]":
        /^webhooks.0..secret: stands there twice/,
      "api: { read: everybody }": /^api.read: "everybody" is none of the possible values/,
      "registries: { ghcr: { quota_reserve: 10 } }": /^registries.ghcr.quota_reserve: "10" is not a share/,
      "registries: { ghcr: { quota_reserve: 101% } }": /^registries.ghcr.quota_reserve: "101%" is not a share/,
      "registries: { ghcr: { max_bandwidth: 1kB } }": /^registries.ghcr.max_bandwidth: is too slow/,
      "api: { hostnames: [hub.example] }\nregistries: { dockerhub: { hostnames: [hub.example] } }":
        /^api.hostnames.0.: "hub.example" is a host name of the registry dockerhub as well/,
    };
    for (const [yaml, expected] of Object.entries(wrong)) {
      const [first = ""] = await problemsOf(t, yaml);
      assert.match(first, expected, yaml);
    }
  });

  it("warns of admins whom nobody can be told to be", async (t) => {
    const folder = await configFolder(t);
    const named = await folder.load({ files: { "registry-cache.yaml": "api: { admins: [alice] }" } });
    assert.ok(named.warnings.some((text) => text.startsWith("api.admins names users")));
    const closed = await folder.load({ files: { "registry-cache.yaml": "api: { read: admins }" } });
    assert.ok(closed.warnings.some((text) => text.startsWith("what is for admins alone")));
  });
});
