import assert from "node:assert/strict";
import { test } from "node:test";
import { OPEN_ACCESS, testRegistry } from "../../test/support/cache.ts";
import { NO_FILES, selfSignedCertificate } from "../../test/support/certificate.ts";
import type { Config } from "../config/config.ts";
import { banner, startedOf as startedWith, warningsOf } from "./banner.ts";

const NO_PROXY = { httpProxy: "", httpsProxy: "", noProxy: "" };

function configOf(differs: Partial<Config> = {}): Config {
  return {
    source: undefined,
    listen: [{ host: "0.0.0.0", port: 5000, methods: undefined, tls: true }],
    dataDir: "/var/lib/registry-cache",
    minFreeDiskBytes: 0,
    maxSizeBytes: undefined,
    maxAgeMs: undefined,
    pins: [],
    api: { hostnames: [], read: "pullers", metrics: "pullers", admins: [] },
    webhooks: [],
    defaultRegistry: "dockerhub",
    registries: [testRegistry("http://127.0.0.1:1")],
    fillsMax: 32,
    keepFreshEveryMs: 3_600_000,
    workers: 1,
    tls: undefined,
    acme: undefined,
    access: OPEN_ACCESS,
    trustedProxies: [],
    url: undefined,
    tlsCa: undefined,
    warnings: [],
    log: { format: "pretty", level: "info" },
    stopTimeoutMs: 25_000,
    proxy: NO_PROXY,
    ...differs,
  };
}

const CONNECT = "bin/registry-cache connect docker";
const startedOf = (config: Config, addresses: readonly string[]) => startedWith(config, addresses, CONNECT);

test("the banner names the proxy, without its password", () => {
  const proxy = { ...NO_PROXY, httpsProxy: "http://me:secret@proxy.example:3128" };
  const text = banner(startedOf(configOf({ proxy }), ["127.0.0.1:5000"]), "1", { strong: keep, quiet: keep });
  assert.match(text, /^ {2}proxy {7}http:\/\/proxy\.example:3128$/m);
  assert.doesNotMatch(text, /secret/);
});

const keep = (text: string) => text;

test("the banner says all that is needed to begin", () => {
  const names = ["docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io"];
  const registries = names.map((serves) => testRegistry("http://127.0.0.1:1", { serves }));
  const started = startedOf(configOf({ registries }), ["127.0.0.1:5000", "[::1]:5000"]);
  assert.equal(
    banner(started, "1.2.3", { strong: keep, quiet: keep }),
    `
  Registry Cache 1.2.3

  listens on  http://127.0.0.1:5000
              http://[::1]:5000
  keeps data  /var/lib/registry-cache
  caches      5 registries: docker.io, ghcr.io, quay.io, gcr.io,
              registry.k8s.io
  settings    built-in defaults

  try it      docker pull 127.0.0.1:5000/docker.io/library/alpine:latest
  stop        Ctrl+C

`,
  );
});

test("the banner names the URL that clients use, and that certificates are asked for", () => {
  const url = "https://192.0.2.7:5000";
  const started = startedOf(configOf({ tls, url, access: CERTIFICATES }), ["0.0.0.0:5000"]);
  const text = banner(started, "1.2.3", { strong: keep, quiet: keep });
  assert.match(text, /^ {2}clients at {2}https:\/\/192\.0\.2\.7:5000\n {2}asks for {4}certificates of clients$/m);
  assert.match(text, /^ {2}try it {6}bin\/registry-cache connect docker$/m);
  const plain = banner(startedOf(configOf(), ["127.0.0.1:5000"]), "1.2.3", { strong: keep, quiet: keep });
  assert.doesNotMatch(plain, /clients at|asks for/);
});

test("the banner names the file that the settings came from", () => {
  const started = startedOf(configOf({ source: "./registry-cache.yaml" }), ["127.0.0.1:5000"]);
  assert.match(banner(started, "1.2.3", { strong: keep, quiet: keep }), /^ {2}settings {4}\.\/registry-cache\.yaml$/m);
});

for (const [addresses, beyondLoopback] of [
  [["127.0.0.1:5000", "[::1]:5000", "localhost:5000"], false],
  [["127.0.0.1:5000", "0.0.0.0:5000"], true],
  [["[::]:5000"], true],
  [["10.0.0.7:5000"], true],
] as const) {
  test(`whether other machines may reach it: ${addresses.join(", ")}`, () => {
    assert.equal(startedOf(configOf(), addresses).beyondLoopback, beyondLoopback);
  });
}

test("one registry is not called several", () => {
  const started = startedOf(configOf(), ["127.0.0.1:5000"]);
  assert.match(banner(started, "1.2.3", { strong: keep, quiet: keep }), /1 registry: docker\.io$/m);
});

const tls = { ...selfSignedCertificate(), files: NO_FILES };
const AT = { host: "127.0.0.1", port: 5000, methods: undefined, tls: true };
const mtls = { ca: tls.cert, crl: undefined, names: [], files: { ca: "/ca.pem", crl: undefined } };
const CERTIFICATES = { ...OPEN_ACCESS, anonymous: false, mtls };
const corp = testRegistry("http://127.0.0.1:1", { id: "corp", serves: "registry.corp.example" });

for (const [what, addresses, config, tryIt] of [
  ["loopback", ["127.0.0.1:5000"], {}, "docker pull 127.0.0.1:5000/docker.io/library/alpine:latest"],
  ["localhost", ["localhost:5000"], {}, "docker pull localhost:5000/docker.io/library/alpine:latest"],
  ["IPv6's loopback", ["[::1]:5000"], {}, "docker pull [::1]:5000/docker.io/library/alpine:latest"],
  ["all addresses", ["0.0.0.0:5000"], {}, "docker pull 127.0.0.1:5000/docker.io/library/alpine:latest"],
  ["all addresses of both families", ["[::]:80"], {}, "docker pull 127.0.0.1:80/docker.io/library/alpine:latest"],
  ["several", ["10.0.0.7:80", "127.0.0.9:81"], {}, "docker pull 127.0.0.9:81/docker.io/library/alpine:latest"],
  // Docker would want TLS there.
  ["another address alone", ["10.0.0.7:5000"], {}, "curl http://10.0.0.7:5000/readyz"],
  [
    "a name that looks like loopback",
    ["127.0.0.1.example.com:5000"],
    {},
    "curl http://127.0.0.1.example.com:5000/readyz",
  ],
  [
    "loopback, without Docker Hub",
    ["127.0.0.1:5000"],
    { registries: [corp] },
    "docker pull 127.0.0.1:5000/registry.corp.example/REPOSITORY:latest",
  ],
  ["loopback, without any registry", ["127.0.0.1:5000"], { registries: [] }, "curl http://127.0.0.1:5000/readyz"],
  // Docker takes any certificate from loopback.
  ["loopback with TLS", ["127.0.0.1:5000"], { tls }, "docker pull 127.0.0.1:5000/docker.io/library/alpine:latest"],
  [
    "users alone",
    ["127.0.0.1:5000"],
    { access: { ...OPEN_ACCESS, anonymous: false, htpasswd: "/users" } },
    "docker login 127.0.0.1:5000 && docker pull 127.0.0.1:5000/docker.io/library/alpine:latest",
  ],
  [
    "an address for everybody beside one for users",
    ["127.0.0.1:5000", "127.0.0.1:5001"],
    {
      access: { ...OPEN_ACCESS, anonymous: false, htpasswd: "/users" },
      listen: [AT, { ...AT, port: 5001, methods: ["anonymous"] }],
    },
    "docker pull 127.0.0.1:5001/docker.io/library/alpine:latest",
  ],
  [
    "a registry for everybody",
    ["127.0.0.1:5000"],
    {
      access: { ...OPEN_ACCESS, anonymous: false, htpasswd: "/users" },
      registries: [testRegistry("http://127.0.0.1:1", { anonymous: true })],
    },
    "docker pull 127.0.0.1:5000/docker.io/library/alpine:latest",
  ],
  // Docker would have to be set up for both.
  [
    "secret paths alone",
    ["127.0.0.1:5000"],
    { access: { ...OPEN_ACCESS, anonymous: false, paths: [{ name: "lab", token: "0" }] } },
    "curl http://127.0.0.1:5000/readyz",
  ],
  [
    "networks that this machine is not in",
    ["0.0.0.0:5000"],
    { access: { ...OPEN_ACCESS, networks: ["10.0.0.0/8"] } },
    "curl http://127.0.0.1:5000/readyz",
  ],
  [
    "networks that it is in",
    ["localhost:5000"],
    { access: { ...OPEN_ACCESS, networks: ["127.0.0.0/8"] } },
    "docker pull localhost:5000/docker.io/library/alpine:latest",
  ],
  [
    "client certificates alone",
    ["0.0.0.0:5000"],
    { tls, url: "https://192.0.2.7:5000", access: CERTIFICATES },
    CONNECT,
  ],
  [
    "client certificates or passwords",
    ["127.0.0.1:5000"],
    { tls, access: { ...CERTIFICATES, htpasswd: "/users" } },
    "docker login 127.0.0.1:5000 && docker pull 127.0.0.1:5000/docker.io/library/alpine:latest",
  ],
  ["another address with TLS", ["10.0.0.7:5000"], { tls }, "curl --insecure https://10.0.0.7:5000/readyz"],
] as const) {
  test(`what to try works as it is printed: ${what}`, () => {
    assert.equal(startedOf(configOf(config), addresses).tryIt, tryIt);
  });
}

test("the addresses are those that work, with TLS and without", () => {
  assert.deepEqual(startedOf(configOf({ tls }), ["127.0.0.1:5000"]).urls, ["https://127.0.0.1:5000"]);
  assert.deepEqual(startedOf(configOf(), ["127.0.0.1:5000"]).urls, ["http://127.0.0.1:5000"]);
});

test("each of several addresses is judged for itself", () => {
  const at = (host: string, port: number, differs = {}) => ({ host, port, methods: undefined, tls: true, ...differs });
  const listen = [
    at("127.0.0.1", 5000, { methods: ["anonymous"], tls: false }),
    at("0.0.0.0", 5443),
    at("10.0.0.7", 5001, { methods: ["anonymous"], tls: false }),
  ];
  const config = configOf({ tls, listen, access: { ...OPEN_ACCESS, anonymous: false } });
  const started = startedOf(config, ["127.0.0.1:5000", "0.0.0.0:5443", "10.0.0.7:5001"]);
  assert.deepEqual(started.urls, ["http://127.0.0.1:5000", "https://0.0.0.0:5443", "http://10.0.0.7:5001"]);
  const open = "no password and no TLS: everybody who reaches 10.0.0.7:5001 can pull";
  assert.deepEqual(warningsOf(config, { beyondLoopback: true }), [open]);
});

test("with passwords it is TLS alone that may be lacking, and nothing where networks keep strangers out", () => {
  const closed = { ...OPEN_ACCESS, anonymous: false };
  assert.deepEqual(warningsOf(configOf({ tls, access: closed }), { beyondLoopback: true }), []);
  assert.match(warningsOf(configOf({ access: closed }), { beyondLoopback: true }).join(), /^no TLS: passwords/);
  const fenced = { ...OPEN_ACCESS, networks: ["10.0.0.0/8"] };
  assert.deepEqual(warningsOf(configOf({ access: fenced }), { beyondLoopback: true }), []);
});

test("what is lacking where others reach the cache is said after what the configuration is warned about", () => {
  const warnings = ["the certificate expired"];
  const all = "everybody who reaches this address can pull";
  assert.deepEqual(warningsOf(configOf({ tls, warnings }), { beyondLoopback: false }), warnings);
  assert.deepEqual(warningsOf(configOf({ tls, warnings }), { beyondLoopback: true }), [
    ...warnings,
    `no password: ${all}`,
  ]);
  assert.deepEqual(warningsOf(configOf(), { beyondLoopback: true }), [`no password and no TLS: ${all}`]);
});
