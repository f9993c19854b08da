import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { ask } from "../../test/support/client.ts";
import { runCommand, startCommand } from "../../test/support/command.ts";
import { tempDir } from "../../test/support/temp.ts";

const ANY_PORT = { REGISTRY_CACHE_LISTEN: "127.0.0.1:0" };

/** The lines of a JSON log. */
function records(out: string): Record<string, unknown>[] {
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("SIGTERM stops the server with exit code 0, and the JSON log tells of its life", async (t) => {
  const cwd = await tempDir(t);
  const server = startCommand(t, ["serve"], { cwd, environment: ANY_PORT });
  const [, url = ""] = await server.said(/"urls":\["([^"]+)"\]/);
  assert.equal((await ask(`${url}/readyz`)).status, 200);
  assert.equal((await ask(`${url}/v2/`)).status, 200);
  await server.said(/"endpoint":"ping"/);
  server.signal("SIGTERM");
  const { exitCode, out, err } = await server.ended();
  assert.deepEqual({ exitCode, err }, { exitCode: 0, err: "" });
  const lines = records(out);
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ["serving", "request", "stopping; responses under way have up to 25s, a second signal stops at once", "stopped"],
  );
  assert.equal(lines[0]?.["dataDir"], join(cwd, "data"));
  assert.equal(lines[2]?.["signal"], "SIGTERM");
});

test("the pretty log begins with the banner and has a line for each request", async (t) => {
  const environment = { ...ANY_PORT, REGISTRY_CACHE_LOG_FORMAT: "pretty" };
  const server = startCommand(t, ["serve"], { cwd: await tempDir(t), environment });
  const [, url = ""] = await server.said(/listens on {2}(\S+)\n/);
  await server.said(/docker pull 127\.0\.0\.1:\d+\/docker\.io\/library\/alpine:latest\n/);
  await ask(`${url}/v2/`);
  await server.said(/^\d\d:\d\d:\d\d INFO: GET {2}\S.* ping {2}200 {2}3 B {2}\d.* {2}127\.0\.0\.1$/m);
  server.signal("SIGINT");
  assert.equal((await server.ended()).exitCode, 0);
});

test("with TLS the addresses are https, and what should not stay so is a warning at the start", async (t) => {
  const cwd = await tempDir(t);
  const { cert, key } = selfSignedCertificate(["127.0.0.1"], { validDays: [-9, -3] });
  await writeFile(join(cwd, "tls.pem"), cert + key, { mode: 0o600 });
  await writeFile(join(cwd, "registry-cache.yaml"), "tls: { mode: files, cert: tls.pem, key: tls.pem }\n");
  const server = startCommand(t, ["serve"], { cwd, environment: { REGISTRY_CACHE_LISTEN: "0.0.0.0:0" } });
  const [, port = ""] = await server.said(/"urls":\["https:\/\/0\.0\.0\.0:(\d+)"\]/);
  await assert.rejects(ask(`https://127.0.0.1:${port}/readyz`, { ca: cert }), { code: "CERT_HAS_EXPIRED" });
  await server.said(/"level":"warn",.*"msg":"certificate 1 in \\"tls\.pem\\" expired on \S+: clients refuse it"/);
  await server.said(/"level":"warn",.*"msg":"no password: everybody who reaches this address can pull"/);
  server.signal("SIGTERM");
  const { exitCode, out, err } = await server.ended();
  assert.deepEqual({ exitCode, err }, { exitCode: 0, err: "" });
  assert.ok(!out.includes("PRIVATE KEY"));
});

/** A registry that takes requests and never answers. */
async function silentUpstream(t: TestContext): Promise<{ url: string; asked: Promise<unknown> }> {
  const upstream = createServer();
  const asked = once(upstream, "request");
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  t.after(async () => {
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
  });
  return { url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, asked };
}

test("a second signal ends the server at once, with exit code 1", async (t) => {
  const upstream = await silentUpstream(t);
  const cwd = await tempDir(t);
  await writeFile(join(cwd, "registry-cache.yaml"), `registries: { dockerhub: { upstream: "${upstream.url}" } }\n`);
  const server = startCommand(t, ["serve"], { cwd, environment: ANY_PORT });
  const [, url = ""] = await server.said(/"urls":\["([^"]+)"\]/);
  const pull = ask(`${url}/v2/docker.io/library/alpine/manifests/latest`).catch(() => "cut off");
  await upstream.asked;
  server.signal("SIGTERM");
  await server.said(/"msg":"stopping/);
  server.signal("SIGTERM");
  const { exitCode, out } = await server.ended();
  assert.equal(exitCode, 1);
  assert.doesNotMatch(out, /"msg":"stopped"/);
  assert.equal(await pull, "cut off");
});

test("a port in use is told with a way out", async (t) => {
  const occupant = createServer().listen(0, "127.0.0.1");
  await once(occupant, "listening");
  t.after(async () => await new Promise((resolve) => occupant.close(resolve)));
  const { port } = occupant.address() as AddressInfo;
  const environment = { REGISTRY_CACHE_LISTEN: `127.0.0.1:${port}` };
  const { exitCode, out, err } = await runCommand(t, ["serve"], { cwd: await tempDir(t), environment });
  assert.deepEqual({ exitCode, out }, { exitCode: 1, out: "" });
  assert.match(
    err,
    new RegExp(
      `^error: cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use\nhint: .*REGISTRY_CACHE_LISTEN=\\S+\n$`,
    ),
  );
});

test("a data folder that is none is told with a way out", async (t) => {
  const cwd = await tempDir(t);
  await writeFile(join(cwd, "data"), "a file");
  assert.deepEqual(await runCommand(t, ["serve"], { cwd, environment: ANY_PORT }), {
    exitCode: 1,
    out: "",
    err: `error: ${join(cwd, "data")}: not a folder\nhint: choose another folder with \`data_dir\` or REGISTRY_CACHE_DATA_DIR\n`,
  });
});
