import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { OPEN_ACCESS } from "../../test/support/cache.ts";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { loadConfig } from "./load.ts";

const at = (host: string, port: number) => ({ host, port, methods: undefined, tls: true });

describe("without a file", () => {
  it("the built-in registries are served to this machine alone", async (t) => {
    const folder = await configFolder(t);
    const config = await folder.load();
    assert.equal(config.source, undefined);
    assert.deepEqual(config.listen, [at("127.0.0.1", 5000)]);
    assert.equal(config.dataDir, join(folder.path, "data"));
    assert.equal(config.minFreeDiskBytes, 1024 ** 3);
    assert.equal(config.defaultRegistry, "dockerhub");
    assert.equal(config.fillsMax, 32);
    assert.equal(config.keepFreshEveryMs, 3_600_000);
    assert.equal(config.workers, 1);
    assert.equal(config.tls, undefined);
    assert.equal(config.stopTimeoutMs, 25_000);
    assert.deepEqual(
      config.registries.map(({ id, serves, upstream }) => [id, serves, upstream]),
      [
        ["dockerhub", "docker.io", "https://registry-1.docker.io"],
        ["ghcr", "ghcr.io", "https://ghcr.io"],
        ["quay", "quay.io", "https://quay.io"],
        ["gcr", "gcr.io", "https://gcr.io"],
        ["k8s", "registry.k8s.io", "https://registry.k8s.io"],
        ["gitlab", "registry.gitlab.com", "https://registry.gitlab.com"],
        ["ecr", "public.ecr.aws", "https://public.ecr.aws"],
        ["lscr", "lscr.io", "https://ghcr.io"],
        ["codeberg", "codeberg.org", "https://codeberg.org"],
      ],
    );
  });

  it("a registry has cautious settings", async (t) => {
    const folder = await configFolder(t);
    const [hub] = (await folder.load()).registries;
    assert.deepEqual(hub, {
      id: "dockerhub",
      serves: "docker.io",
      upstream: "https://registry-1.docker.io",
      aliases: ["index.docker.io", "registry-1.docker.io"],
      hostnames: [],
      anonymous: undefined,
      libraryPrefix: true,
      credentials: undefined,
      sharedRepositories: [],
      passThrough: false,
      tags: [{ match: "*", revalidate: { kind: "after", ms: 60_000 } }],
      whenDeleted: "serve",
      realms: ["auth.docker.io"],
      allowPrivateAddresses: false,
      upstreamIsOwn: false,
      ca: undefined,
      questionsMax: 16,
      transfersMax: 16,
      requestsPerSecond: undefined,
      bytesPerSecond: undefined,
      maxSizeBytes: undefined,
      quotaReserveShare: 0.1,
      timeouts: { connectMs: 5_000, headersMs: 30_000, idleMs: 60_000, askBudgetMs: 3_000 },
    });
  });

  it("an empty one, or keys with nothing below them, mean the same", async (t) => {
    const folder = await configFolder(t);
    const { source: _, ...expected } = await folder.load();
    for (const text of ["", "\n# nothing\n", "---\n", "registries:\nlog:\n", "registries: { ghcr: }", "\u{feff}"]) {
      const { source, ...config } = await folder.load({ files: yaml(text) });
      assert.equal(source, "registry-cache.yaml");
      assert.deepEqual(config, expected, JSON.stringify(text));
    }
  });
});

describe("the file", () => {
  it("is the one that is named, first on the command line, then in the environment, then the one in this folder", async (t) => {
    const folder = await configFolder(t);
    const files = { ...yaml("fills_max: 1"), "named.yaml": "fills_max: 2", "etc/other.yaml": "fills_max: 3" };
    const environment = { REGISTRY_CACHE_CONFIG: "named.yaml" };
    assert.equal((await folder.load({ files })).fillsMax, 1);
    assert.equal((await folder.load({ environment })).fillsMax, 2);
    const config = await folder.load({ environment, configPath: "etc/other.yaml" });
    assert.equal(config.fillsMax, 3);
    assert.equal(config.source, "etc/other.yaml");
  });

  it("that is named must be there", async (t) => {
    const folder = await configFolder(t);
    assert.deepEqual(await folder.complaints({ configPath: "nope.yaml" }), [
      "error: nope.yaml: does not exist",
      "hint: --config names it",
    ]);
    assert.deepEqual(await folder.complaints({ environment: { REGISTRY_CACHE_CONFIG: "x/nope.yaml" } }), [
      "error: x/nope.yaml: does not exist",
      "hint: REGISTRY_CACHE_CONFIG names it",
    ]);
    assert.deepEqual(await folder.complaints({ configPath: "." }), ["error: .: is a folder, not a file"]);
  });

  it("sets everything else", async (t) => {
    const folder = await configFolder(t);
    const { cert } = selfSignedCertificate();
    const text = `
listen: [127.0.0.1:5000, "[::1]:0", Localhost:5002]
data_dir: /srv/cache
min_free_disk: 5GB
default_registry: corp
fills_max: 8
keep_fresh_every: 30m
workers: 3
stop_timeout: 0s
log: { format: pretty, level: debug }
registries:
  corp:
    serves: registry.corp.example:5443
    upstream: HTTP://127.0.0.1:5001/
    hostnames: [Corp.Example, corp.example, docker.io]
    username: me
    password: "a: b"
    tags:
      - { match: "v[0-9]*", revalidate_after: never }
      - { match: "{nightly,edge}", revalidate_after: always }
      - { match: "old-*", revalidate_after: offline }
      - { match: "*", revalidate_after: 24h }
    when_deleted: deny
    realms: ["*.Auth.example", auth.example:8443]
    ca: ca.pem
    allow_private_addresses: true
    questions_max: 1
    transfers_max: 1000
    requests_per_second: 0.5
    connect_timeout: 500ms
    headers_timeout: 24h
    idle_timeout: 5m
    ask_budget: 1s
`;
    const files = { "etc/c.yaml": text, "etc/ca.pem": `subject=whoever\n${cert}` };
    const config = await folder.load({ files, configPath: "etc/c.yaml" });
    const corp = config.registries.at(-1);
    assert.deepEqual(
      { ...config, registries: undefined },
      {
        source: "etc/c.yaml",
        listen: [at("127.0.0.1", 5000), at("::1", 0), at("localhost", 5002)],
        dataDir: "/srv/cache",
        minFreeDiskBytes: 5_000_000_000,
        maxSizeBytes: undefined,
        maxAgeMs: undefined,
        pins: [],
        api: { hostnames: [], read: "pullers", metrics: "pullers", admins: [] },
        webhooks: [],
        defaultRegistry: "corp",
        fillsMax: 8,
        keepFreshEveryMs: 1_800_000,
        workers: 3,
        tls: undefined,
        acme: undefined,
        access: OPEN_ACCESS,
        trustedProxies: [],
        url: undefined,
        tlsCa: undefined,
        warnings: [],
        stopTimeoutMs: 0,
        proxy: { httpProxy: "", httpsProxy: "", noProxy: "" },
        log: { format: "pretty", level: "debug" },
        registries: undefined,
      },
    );
    assert.deepEqual(corp, {
      id: "corp",
      serves: "registry.corp.example:5443",
      upstream: "http://127.0.0.1:5001",
      aliases: ["127.0.0.1:5001"],
      hostnames: ["corp.example", "docker.io"],
      anonymous: undefined,
      libraryPrefix: false,
      credentials: { kind: "basic", username: "me", password: "a: b" },
      sharedRepositories: [],
      passThrough: false,
      tags: [
        { match: "v[0-9]*", revalidate: { kind: "never" } },
        { match: "{nightly,edge}", revalidate: { kind: "always" } },
        { match: "old-*", revalidate: { kind: "offline" } },
        { match: "*", revalidate: { kind: "after", ms: 86_400_000 } },
      ],
      whenDeleted: "deny",
      realms: ["*.auth.example", "auth.example:8443"],
      allowPrivateAddresses: true,
      upstreamIsOwn: true,
      ca: cert,
      questionsMax: 1,
      transfersMax: 1000,
      requestsPerSecond: 0.5,
      bytesPerSecond: undefined,
      maxSizeBytes: undefined,
      quotaReserveShare: 0.1,
      timeouts: { connectMs: 500, headersMs: 86_400_000, idleMs: 300_000, askBudgetMs: 1_000 },
    });
  });

  it("takes one address without a list, and data_dir from the folder of the process", async (t) => {
    const folder = await configFolder(t);
    const files = { "etc/c.yaml": "listen: 0.0.0.0:80\ndata_dir: ../store", "run/.keep": "" };
    const config = await folder.load({ files, cwd: "run", configPath: "../etc/c.yaml" });
    assert.deepEqual(config.listen, [at("0.0.0.0", 80)]);
    assert.equal(config.dataDir, join(folder.path, "store"));
  });
});

it("logs are for people where people look at them, unless said otherwise", async (t) => {
  const folder = await configFolder(t);
  const load = async (isTerminal: boolean, environment = {}) =>
    (await loadConfig({ environment, cwd: folder.path, isTerminal })).log.format;
  assert.equal(await load(true), "pretty");
  assert.equal(await load(false), "json");
  assert.equal(await load(false, { REGISTRY_CACHE_LOG_FORMAT: "auto" }), "json");
  await folder.write(yaml("log: { format: json }"));
  assert.equal(await load(true), "json");
});
