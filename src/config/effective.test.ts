import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import type { Config } from "./config.ts";
import type { ConfigError } from "./errors.ts";
import { effectiveObject, effectiveYaml } from "./effective.ts";

describe("the effective configuration", () => {
  it("is in the keys of the file, with all defaults", async (t) => {
    const folder = await configFolder(t);
    const config = await folder.load({ files: yaml('listen: ["[::1]:5000"]\ndata_dir: /srv\n') });
    const text = effectiveYaml(config);
    const start = `# registry-cache.yaml
listen:
  - "[::1]:5000"
tls:
  mode: off
access:
  anonymous: true
  bearer: false
  paths: []
  rules: []
trusted_proxies: []
data_dir: /srv
min_free_disk: 1GiB
pins: []
api:
  hostnames: []
  read: pullers
  metrics: pullers
  admins: []
webhooks: []
default_registry: dockerhub
fills_max: 32
keep_fresh_every: 1h
workers: 1
stop_timeout: 25s
log:
  format: json
  level: info
registries:
  dockerhub:
    serves: docker.io
    upstream: https://registry-1.docker.io
    hostnames: []
    private_content: public_only
    tags:
      - match: "*"
        revalidate_after: 1m
    when_deleted: serve
    realms:
      - auth.docker.io
    allow_private_addresses: false
    questions_max: 16
    transfers_max: 16
    quota_reserve: 10%
    connect_timeout: 5s
    headers_timeout: 30s
    idle_timeout: 1m
    ask_budget: 3s
  ghcr:
`;
    assert.equal(text.slice(0, start.length), start);
  });

  it("says so where there is no file, and names registries that are switched off", async (t) => {
    const folder = await configFolder(t);
    assert.match(effectiveYaml(await folder.load()), /^# built-in defaults, no configuration file\n/);
    const config = await folder.load({ files: yaml("registries: { lscr: { enabled: false } }") });
    const { registries } = effectiveObject(config) as { registries: Record<string, unknown> };
    assert.deepEqual(registries["lscr"], { enabled: false });
  });

  it("has no secret in it", async (t) => {
    const folder = await configFolder(t);
    const config = await folder.load({
      files: yaml("registries: { dockerhub: { username: me, password: hunter2 }, ecr: { token: hunter2 } }"),
      environment: { REGISTRY_CACHE_GHCR_USERNAME: "me", REGISTRY_CACHE_GHCR_PASSWORD: "hunter2" },
    });
    for (const text of [effectiveYaml(config), JSON.stringify(effectiveObject(config))]) {
      assert.ok(!text.includes("hunter2"));
      assert.equal(text.split("********").length - 1, 3);
    }
    assert.match(effectiveYaml(config), /username: me\n +password: "\*{8}"\n/);
    assert.match(effectiveYaml(config), /token: "\*{8}"\n/);
  });

  it("names the certificates that are trusted", async (t) => {
    const folder = await configFolder(t);
    const { cert } = selfSignedCertificate();
    const files = { ...yaml("registries: { ghcr: { ca: ca.pem } }"), "ca.pem": cert + cert };
    const text = effectiveYaml(await folder.load({ files }));
    assert.match(text, /ca: certificates of CN=registry-cache test; CN=registry-cache test\n/);
  });

  it("says by what clients reach the cache, and what they trust it by, where that was said", async (t) => {
    const folder = await configFolder(t);
    const config = await folder.load({
      files: {
        ...yaml("url: https://Cache.example.com:443/\ntls: { ca: ca.pem }"),
        "ca.pem": selfSignedCertificate().cert,
      },
    });
    assert.equal(config.url, "https://cache.example.com");
    assert.match(effectiveYaml(config), /^url: https:\/\/cache\.example\.com$/m);
    assert.match(effectiveYaml(config), /^ {2}ca: certificates of CN=registry-cache test$/m);
    for (const [text, said] of [
      ["url: cache.example.com", /:1: url: is not an http:\/\/ or https:\/\/ address/],
      ["url: http://cache$(id)", /:1: url: "cache\$\(id\)" is not a host name/],
      ["url: http://cache'.example.com", /:1: url: "cache'\.example\.com" is not a host name/],
      ["url: https://cache.example.com/v2", /:1: url: has more than scheme, host and port/],
      ["tls: { ca: none.pem }", /:1: tls\.ca: /],
    ] as const) {
      await assert.rejects(folder.load({ files: yaml(text) }), (error: ConfigError) => said.test(error.render()));
    }
  });

  it("is a file that means the same", async (t) => {
    const folder = await configFolder(t);
    await prove(
      fc.asyncProperty(files, async (file) => {
        const config = await folder.load({ files: yaml(JSON.stringify(file)) });
        const again = await folder.load({ files: yaml(effectiveYaml(config)) });
        assert.deepEqual(comparable(again), comparable(config));
      }),
      60,
    );
  });
});

/** Upstreams that the text spells out count as the user's. */
function comparable(config: Config): Config {
  return { ...config, registries: config.registries.map((registry) => ({ ...registry, upstreamIsOwn: true })) };
}

const seconds = fc.integer({ min: 1, max: 86_400 }).map((count) => `${count}s`);
const host = fc.stringMatching(/^[a-z]{1,8}\.example$/);
const optional = { requiredKeys: [] };

/** Valid files. */
const files = fc.record(
  {
    listen: fc.uniqueArray(
      fc.integer({ min: 1, max: 65_535 }).map((port) => `127.0.0.1:${port}`),
      { minLength: 1, maxLength: 3 },
    ),
    data_dir: fc.stringMatching(/^\/[a-z \-#:é]{1,10}[a-z]$/),
    min_free_disk: fc.nat().map((bytes) => `${bytes}B`),
    max_size: fc.integer({ min: 1024 ** 2 }).map((bytes) => `${bytes}B`),
    max_age: fc.constantFrom("1h", "90d"),
    pins: fc.uniqueArray(fc.constantFrom("docker.io/library/*", "ghcr.io/**:v*", "*"), { maxLength: 3 }),
    api: fc.record(
      {
        hostnames: fc.uniqueArray(fc.constantFrom("api.example", "stats.example"), { maxLength: 2 }),
        read: fc.constantFrom("pullers", "open", "admins"),
        metrics: fc.constantFrom("pullers", "open", "admins"),
        admins: fc.uniqueArray(fc.constantFrom("alice", "ops-*"), { maxLength: 2 }),
      },
      optional,
    ),
    stop_timeout: seconds,
    fills_max: fc.integer({ min: 1, max: 1000 }),
    keep_fresh_every: fc.constantFrom("1m", "90m", "168h"),
    workers: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constant("auto")),
    log: fc.record({ level: fc.constantFrom("debug", "silent"), format: fc.constantFrom("json", "pretty") }, optional),
    registries: fc.record(
      {
        dockerhub: fc.record(
          {
            hostnames: fc.uniqueArray(host, { maxLength: 3 }),
            tags: fc.array(
              fc.record({
                match: fc.constantFrom("v[0-9]*", "{a,b}", "latest", "??"),
                revalidate_after: fc.oneof(seconds, fc.constantFrom("always", "never", "offline")),
              }),
              { maxLength: 3 },
            ),
            when_deleted: fc.constantFrom("serve", "deny"),
            realms: fc.uniqueArray(host, { maxLength: 2 }),
            requests_per_second: fc.double({ min: 0.01, max: 1000, noNaN: true }),
            max_bandwidth: fc.constantFrom("16KiB", "50MB"),
            max_size: fc.constantFrom("1MiB", "1TiB"),
            quota_reserve: fc.constantFrom("0%", "29%", "100%"),
            idle_timeout: seconds,
            ask_budget: seconds,
          },
          optional,
        ),
        quay: fc.record({ enabled: fc.boolean(), allow_private_addresses: fc.boolean() }, optional),
        corp: fc.record({
          serves: host,
          upstream: host.map((name) => `https://${name}`),
          transfers_max: fc.integer({ min: 1, max: 1000 }),
        }),
      },
      optional,
    ),
  },
  optional,
);
