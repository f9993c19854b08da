/** Connections: who is dialled, through what, and what becomes of it when it does not work. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer, request as httpRequest } from "node:http";
import { type AddressInfo, type LookupFunction, type Socket, connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import type { HasAfter } from "../../test/support/temp.ts";
import {
  failsAs,
  name,
  openUpstream,
  patient,
  registryConfig,
  sent,
  startBench,
  tag,
} from "../../test/support/upstreams.ts";
import { PrivateAddressError } from "./faults.ts";
import { publicOnly } from "./transport.ts";

const app = name("team/app");
const latest = tag("latest");
const tls = selfSignedCertificate(["registry.test", "auth.test", "cdn.test"]);
const timeouts = { connectMs: 300, headersMs: 300, idleMs: 300, askBudgetMs: 3000 };

test("a redirect to a name that resolves to a private address is refused, and nothing is sent there", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { redirectBlobs: true },
    registry: { allowPrivateAddresses: false },
  });
  const digest = fake.addBlob(app, seededBytes(10));
  await assert.rejects(upstream.openBlob(app, digest, undefined, patient()), failsAs("untrusted"));
  assert.deepEqual(sent(fake), ["registry GET blobs/<digest> anonymous 307"]);
  assert.equal(fake.connections("cdn").accepted, 0);
});

test("a realm that resolves to a private address is refused, although it is on the list", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer" },
    registry: { allowPrivateAddresses: false },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.equal(fake.connections("token").accepted, 0);
});

test("an upstream that the user did not name may not resolve to a private address", async (t) => {
  const { fake, upstream } = await startBench(t, {
    registry: { allowPrivateAddresses: false, upstreamIsOwn: false },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.equal(fake.connections("registry").accepted, 0);
});

test("a literal private upstream works where the user named it, and leads to no other port", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { hosts: { registry: "127.0.0.1", cdn: "127.0.0.1" }, redirectBlobs: true },
    registry: { allowPrivateAddresses: false },
  });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  await assert.rejects(upstream.openBlob(app, image.config.digest, undefined, patient()), failsAs("untrusted"));
  assert.equal(fake.connections("cdn").accepted, 0);
});

test("of a name's addresses only the public ones are used; one with none fails", async () => {
  const lookUp = (addresses: string[], all: boolean) =>
    new Promise((resolve, reject) => {
      const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      const lookup = publicOnly((_hostname, _options, callback) => callback(null, found));
      lookup("x.test", { all }, (error, address, family) =>
        error === null ? resolve([address, family]) : reject(error),
      );
    });
  assert.deepEqual(await lookUp(["127.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"], true), [
    [
      { address: "1.1.1.1", family: 4 },
      { address: "2606:4700::1111", family: 6 },
    ],
    undefined,
  ]);
  assert.deepEqual(await lookUp(["10.0.0.1", "1.1.1.1"], false), ["1.1.1.1", 4]);
  await assert.rejects(lookUp(["10.0.0.1", "::1"], true), PrivateAddressError);
  await assert.rejects(lookUp([], true), PrivateAddressError);
});

test("connections are kept: many questions one after the other need one, or two where they follow at once", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { expiresInS: 300 } } });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  await upstream.getManifest(app, latest, patient());
  assert.equal(fake.connections("registry").accepted, 1);
  for (let time = 0; time < 20; time += 1) await upstream.getManifest(app, latest, patient());
  assert.ok(fake.connections("registry").accepted <= 2);
  assert.equal(fake.connections("token").accepted, 1);
});

test("a kept connection that the upstream closes just then is replaced without anybody noticing", async (t) => {
  const { fake, upstream } = await startBench(t);
  const image = fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.script({}, { kind: "drop" });
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal(fake.requests.length, 3);
});

test("a new connection that is closed without an answer is a failure, and so is a second in a row", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "drop" });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unreachable"));
  assert.equal(fake.requests.length, 1);
  await upstream.headManifest(app, latest, patient());
  fake.script({}, { kind: "drop" }, { kind: "drop" });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unreachable"));
});

test("a 401 or a redirect with a body that nobody wants does not keep its connection", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer" } });
  fake.addImage(app, "latest");
  const body = "x".repeat(4 * 1024 * 1024);
  const headers = { "www-authenticate": `Bearer realm="${fake.tokenUrl}",service="fake-registry"` };
  fake.script({ authorized: false, role: "registry" }, { kind: "status", status: 401, headers, body });
  const location = { location: "/v2/team/app/manifests/latest" };
  fake.script({ authorized: true }, { kind: "status", status: 307, headers: location, body });
  await upstream.getManifest(app, latest, patient());
  await fake.until(() => fake.requests.every(({ closed }) => closed));
  assert.deepEqual(sent(fake, { role: "registry" }), [
    "registry GET manifests/latest anonymous 401",
    "registry GET manifests/latest token 307",
    "registry GET manifests/latest token 200",
  ]);
});

test("no such host, and nobody listening, are unreachable", async (t) => {
  const nowhere = openUpstream(t, registryConfig({ id: "a", upstream: "http://no.such.example" }));
  await assert.rejects(nowhere.headManifest(app, latest, patient()), failsAs("unreachable"));
  const { fake, upstream } = await startBench(t);
  await fake.stop();
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unreachable"));
});

test("a connection that does not come about in time is a timeout", async (t) => {
  const config = registryConfig({ upstream: "http://registry.test", timeouts });
  const upstream = openUpstream(t, config, { lookup: () => {} });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("timeout"));
});

test("an answer that does not come in time is a timeout", async (t) => {
  const { fake, upstream } = await startBench(t, { registry: { timeouts } });
  fake.script({}, { kind: "hang" });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("timeout"));
});

test("a manifest that stops half-way is a timeout", async (t) => {
  const { fake, upstream } = await startBench(t, { registry: { timeouts } });
  fake.addImage(app, "latest");
  fake.script({}, { kind: "stall", atByte: 10 });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("timeout"));
});

test("who leaves before a connection stands is gone at once", { timeout: 10_000 }, async (t) => {
  const asker = new AbortController();
  const config = registryConfig({ upstream: "http://registry.test", timeouts: { ...timeouts, connectMs: 3_600_000 } });
  const upstream = openUpstream(t, config, { lookup: () => asker.abort() });
  await assert.rejects(upstream.headManifest(app, latest, asker.signal), failsAs("aborted"));
});

test("who leaves while waiting for the answer closes the connection", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.script({}, { kind: "hang" });
  const asker = new AbortController();
  const question = upstream.headManifest(app, latest, asker.signal);
  await fake.until(() => fake.requests.length === 1);
  asker.abort();
  await assert.rejects(question, failsAs("aborted"));
  await fake.until(() => fake.requests[0]?.closed === true);
});

test("what is no HTTP is a protocol error", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.script({}, { kind: "answer", handler: (_req, res) => void res.socket?.end("SSH-2.0-OpenSSH_9.9\r\n\r\n") });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("protocol"));
});

test("TLS: an own authority is trusted where it is configured, and not elsewhere", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { tls, auth: "bearer" },
    registry: { ca: tls.cert },
  });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  const strict = openUpstream(t, registryConfig({ upstream: fake.url }));
  await assert.rejects(strict.headManifest(app, latest, patient()), failsAs("unreachable"));
});

test("TLS: a certificate for another name is refused", async (t) => {
  const { fake } = await startBench(t, { fake: { tls } });
  const upstream = openUpstream(
    t,
    registryConfig({ upstream: fake.url.replace("registry.test", "a.b.test"), ca: tls.cert }),
  );
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unreachable"));
});

/** A forwarding proxy that also tunnels; it resolves every name to this machine, as it alone may. */
async function startProxy(t: HasAfter) {
  const seen: string[] = [];
  const forward = (req: IncomingMessage, res: ServerResponse) => {
    seen.push(`${req.method} ${req.url?.replace(/:\d+/, "")}`);
    const { port, pathname, search } = new URL(req.url ?? "");
    const { method, headers } = req;
    const onward = httpRequest({ host: "127.0.0.1", port, path: pathname + search, method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    onward.on("error", () => res.destroy());
    req.pipe(onward);
  };
  const server = createServer(forward);
  server.on("connect", (req, client) => {
    seen.push(`CONNECT ${req.url?.replace(/:\d+/, "")}`);
    const onward = connect(Number(req.url?.split(":")[1]), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(client).pipe(onward);
    });
    for (const socket of [client, onward]) socket.on("error", () => {});
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    // Tunnels are no longer the server's, so it would wait for them.
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const NO_PROXY = { httpProxy: "", httpsProxy: "", noProxy: "" };

/** A client must not resolve what its proxy resolves. */
const noLookup: LookupFunction = (hostname, _options, callback) => {
  callback(Object.assign(new Error(`resolved ${hostname}`), { code: "ENOTFOUND" }), "");
};

test("HTTP_PROXY: registry, token service and content network are reached through it", async (t) => {
  const proxy = await startProxy(t);
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", redirectBlobs: true },
    registry: { allowPrivateAddresses: false },
    upstreams: { proxy: { ...NO_PROXY, httpProxy: proxy.url }, lookup: noLookup },
  });
  const digest = fake.addBlob(app, seededBytes(1000));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.equal((await buffer(body)).length, 1000);
  assert.deepEqual(
    proxy.seen.map((line) => line.replaceAll(/\?.*|sha256:\w+/g, "")),
    [
      "GET http://registry.test/v2/team/app/blobs/",
      "GET http://auth.test/token",
      "GET http://registry.test/v2/team/app/blobs/",
      "GET http://cdn.test/data/",
    ],
  );
});

test("HTTP_PROXY: a literal private address is refused all the same", async (t) => {
  const proxy = await startProxy(t);
  const { fake, upstream } = await startBench(t, {
    fake: { hosts: { cdn: "127.0.0.1" }, redirectBlobs: true },
    registry: { allowPrivateAddresses: false },
    upstreams: { proxy: { ...NO_PROXY, httpProxy: proxy.url }, lookup: noLookup },
  });
  const digest = fake.addBlob(app, seededBytes(1000));
  await assert.rejects(upstream.openBlob(app, digest, undefined, patient()), failsAs("untrusted"));
  assert.equal(proxy.seen.length, 1);
});

test("HTTP_PROXY: a realm or an upstream at a literal private address is refused, listed or not", async (t) => {
  const proxy = await startProxy(t);
  const options = {
    registry: { allowPrivateAddresses: false, realms: ["127.0.0.1"] },
    upstreams: { proxy: { ...NO_PROXY, httpProxy: proxy.url }, lookup: noLookup },
  };
  const { fake, upstream } = await startBench(t, {
    ...options,
    fake: { hosts: { token: "127.0.0.1" }, auth: "bearer" },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.deepEqual(proxy.seen, ["HEAD http://registry.test/v2/team/app/manifests/latest"]);
  const config = registryConfig({ ...options.registry, upstream: "http://10.0.0.1", upstreamIsOwn: false });
  const another = openUpstream(t, config, options.upstreams);
  await assert.rejects(another.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.equal(proxy.seen.length, 1);
});

test("HTTPS_PROXY: a tunnel, in which the own authority counts", async (t) => {
  const proxy = await startProxy(t);
  const { fake, upstream } = await startBench(t, {
    fake: { tls },
    registry: { ca: tls.cert },
    upstreams: { proxy: { ...NO_PROXY, httpsProxy: proxy.url }, lookup: noLookup },
  });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.deepEqual(proxy.seen, ["CONNECT registry.test"]);
});

test("NO_PROXY, and loopback without it, are reached directly", async (t) => {
  const proxy = await startProxy(t);
  for (const [registry, noProxy] of [
    ["registry.test", ".test"],
    ["127.0.0.1", ""],
  ] as const) {
    const { fake, upstream } = await startBench(t, {
      fake: { hosts: { registry } },
      upstreams: { proxy: { ...NO_PROXY, httpProxy: proxy.url, noProxy } },
    });
    const image = fake.addImage(app, "latest");
    assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  }
  assert.deepEqual(proxy.seen, []);
});
