import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { selfSignedCertificate, testAuthority } from "../../test/support/certificate.ts";
import { runCommand, startCommand } from "../../test/support/command.ts";
import { tempDir } from "../../test/support/temp.ts";
import { readyUrl } from "./health.ts";

const PLAIN = { tls: undefined, acme: undefined };
const WITH_TLS = { tls: { cert: "", key: "", files: { cert: "", key: "" } }, acme: undefined };

function listen(host: string, tls = true, port = 5000) {
  return [{ host, port, methods: undefined, tls }];
}

for (const [config, url] of [
  [{ ...PLAIN, listen: listen("127.0.0.1") }, "http://127.0.0.1:5000/readyz"],
  [{ ...PLAIN, listen: listen("0.0.0.0") }, "http://127.0.0.1:5000/readyz"],
  [{ ...PLAIN, listen: listen("::") }, "http://[::1]:5000/readyz"],
  [{ ...PLAIN, listen: listen("10.0.0.7") }, "http://10.0.0.7:5000/readyz"],
  [{ ...WITH_TLS, listen: listen("0.0.0.0") }, "https://127.0.0.1:5000/readyz"],
  [{ ...WITH_TLS, listen: listen("0.0.0.0", false) }, "http://127.0.0.1:5000/readyz"],
] as const) {
  test(`it is asked at ${url}`, () => assert.equal(readyUrl(config).href, url));
}

test("nobody knows where to ask where any free port was taken", () => {
  assert.throws(() => readyUrl({ ...PLAIN, listen: listen("127.0.0.1", true, 0) }), /any free port/);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

test("a cache that wants certificates, passwords and other networks than ours says that it is ready all the same", async (t) => {
  const cwd = await tempDir(t);
  const port = await freePort();
  const { cert, key } = selfSignedCertificate(["cache.example.com"]);
  const files = { "tls.pem": cert + key, "ca.pem": testAuthority().cert, "users.htpasswd": "" };
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text, { mode: 0o600 });
  const access = { networks: ["203.0.113.0/24"], mtls: { ca: "ca.pem" }, basic: { htpasswd: "users.htpasswd" } };
  const tls = { mode: "files", cert: "tls.pem", key: "tls.pem" };
  const config = { listen: `0.0.0.0:${port}`, tls, access, log: { format: "json" } };
  await writeFile(join(cwd, "registry-cache.yaml"), JSON.stringify(config));
  const cache = startCommand(t, ["serve"], { cwd });
  await cache.said(/"serving"/);
  const { exitCode, out } = await runCommand(t, ["health"], { cwd });
  assert.deepEqual([exitCode, out], [0, `ready: https://127.0.0.1:${port}/readyz\n`]);
  cache.signal("SIGTERM");
  await cache.ended();
});

test("where nothing runs, that is said", async (t) => {
  const cwd = await tempDir(t);
  const port = await freePort();
  const environment = { REGISTRY_CACHE_LISTEN: `127.0.0.1:${port}` };
  const { exitCode, out, err } = await runCommand(t, ["health"], { cwd, environment });
  assert.deepEqual([exitCode, out], [1, ""]);
  assert.match(err, /^error: http:\/\/127\.0\.0\.1:\d+\/readyz: connect ECONNREFUSED .*\nhint: does it run here/);
});
