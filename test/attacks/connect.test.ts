import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { CLIENTS } from "../../src/connect/clients.ts";
import { testRegistry } from "../support/cache.ts";
import { ask, raw } from "../support/client.ts";
import { FakeHost } from "../support/fake-host.ts";
import { startWhole } from "../support/whole.ts";

const REGISTRY = testRegistry("http://127.0.0.1:9", { hostnames: ["hub.cache.example"] });

/** What would be more than an address in a script, in TOML, in JSON or in YAML. */
const HOSTS = [
  "",
  "a'b",
  "a'; touch /tmp/x; '",
  "$(id)",
  "`id`",
  'a"b',
  "a\\b",
  "a b",
  "a\tb",
  "a/b",
  "a#b",
  "a?b",
  "me@evil.test",
  "me:secret@evil.test",
  "@docker@",
  "a]b",
  "a\u00e9b",
  "-rf",
  "[::1",
  "[::1]x",
  "a:b",
  "a:99999",
  "a:5000:5000",
  "END_OF_TEXT",
];

for (const workers of [1, 2]) {
  test(`attack: a Host header that is more than an address: it never becomes part of a script; ${workers} workers`, async (t) => {
    const { url } = await startWhole(t, [REGISTRY], { workers });
    for (const host of HOSTS) {
      for (const path of ["/connect", "/connect/docker", "/connect/doctor"]) {
        const answer = await raw(url, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
        // A name alone is one, whatever it is called.
        if (host === "END_OF_TEXT") assert.ok(status >= 400 && status < 500, answer);
        else assert.ok(status === 400 || status === 403, `${JSON.stringify(host)} ${path}: ${answer}`);
        assert.doesNotMatch(answer, /cache_url=/);
      }
    }
  });

  test(`attack: DNS rebinding of a browser: a page's own name leads to neither description nor script; ${workers} workers`, async (t) => {
    const { url } = await startWhole(t, [REGISTRY], { workers, access: { hosts: ["cache.corp.example"] } });
    for (const path of [
      "/connect",
      "/connect/docker",
      "/connect/podman?only=docker.io",
      "/connect/doctor",
      "/connect/seen",
    ]) {
      for (const Host of ["evil.example:5000", "localhost.evil.example", "hub.cache.example.evil.example"]) {
        const { status, headers, body } = await ask(url + path, { headers: { Host, Origin: `http://${Host}` } });
        assert.equal(status, 403);
        assert.equal(headers["access-control-allow-origin"], undefined);
        assert.doesNotMatch(body.toString(), /cache_url=|hub\.cache\.example"/);
      }
      for (const Host of ["localhost:5000", "cache.corp.example", "hub.cache.example"]) {
        assert.equal((await ask(url + path, { headers: { Host } })).status, 200);
      }
    }
  });
}

test("attack: names that are valid, and mean something to sh, awk or sed: the scripts run as they should", async (t) => {
  const { url } = await startWhole(t, [REGISTRY], { access: { hosts: ["a--b..c"] } });
  for (const Host of ["a-b.internal:5000", "0x7f", "a--b..c"]) {
    for (const { name } of CLIENTS) {
      const { status, body } = await ask(`${url}/connect/${name}`, { headers: { Host } });
      assert.equal(status, 200);
      assert.equal(spawnSync("sh", ["-n"], { input: body }).status, 0, name);
    }
  }
});

test("attack: a script that is cut off on its way, at any byte of its last lines, does nothing", async (t) => {
  const { url } = await startWhole(t, [REGISTRY]);
  const script = (await ask(`${url}/connect/docker`)).body.toString();
  const host = await FakeHost.create(t);
  for (let cut = 2; cut < 120; cut += 7) await host.run(script.slice(0, -cut));
  assert.deepEqual(await host.tree(), {});
});
