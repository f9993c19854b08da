import assert from "node:assert/strict";
import { test } from "node:test";
import { startCache, testRegistry } from "../support/cache.ts";
import { ask, raw } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { recordingLookup, startTrap } from "../support/trap.ts";
import { HOSTS } from "../support/upstreams.ts";

/** Where a client must not be able to send the cache to. */
const PLACES = (port: number) => [
  "169.254.169.254",
  "169.254.169.254:80",
  "metadata.google.internal",
  "[fd00:ec2::254]",
  "fd00:ec2::254",
  "[::ffff:169.254.169.254]",
  "evil.test",
  `evil.test:${port}`,
  `127.0.0.1:${port}`,
  `localhost:${port}`,
  `[::1]:${port}`,
  `${HOSTS.registry}@evil.test:${port}`,
  `docker.io@127.0.0.1:${port}`,
  `docker.io:${port}`,
  `docker.io.evil.test:${port}`,
  "ghcr.io",
  "file:///etc/passwd",
  `http://127.0.0.1:${port}`,
  `//127.0.0.1:${port}`,
  `docker.io,127.0.0.1:${port}`,
  `docker.io%00.evil.test:${port}`,
  `docker.io\t127.0.0.1:${port}`,
];

test("attack: ns, path prefixes, names, Host and absolute targets lead to metadata services and strangers: nobody is dialled", async (t) => {
  const trap = await startTrap(t);
  const upstream = await startFakeUpstream({ hosts: HOSTS });
  t.after(async () => await upstream.stop());
  upstream.addImage("library/app", "1");
  const { lookup, asked } = recordingLookup();
  const { url } = await startCache(t, [testRegistry(upstream.url)], { lookup });
  for (const place of PLACES(trap.port)) {
    const encoded = encodeURIComponent(place);
    for (const path of [
      `/v2/library/app/manifests/1?ns=${encoded}`,
      `/v2/library/app/manifests/1?ns=docker.io&ns=${encoded}`,
      `/v2/library/app/tags/list?ns=${encoded}`,
      `/${encoded}/v2/library/app/manifests/1`,
      `/v2/${encoded}/library/app/manifests/1`,
      `/v2/_catalog?ns=${encoded}`,
    ]) {
      const { status } = await ask(url + path);
      assert.ok(status === 400 || status === 404, `${path}: ${status}`);
    }
    const head = "Host: localhost\r\nConnection: close\r\n\r\n";
    for (const target of [`http://${place}/v2/library/app/manifests/1`, `https://${place}/v2/`]) {
      assert.match(await raw(url, `GET ${target} HTTP/1.1\r\n${head}`), /^HTTP\/1\.1 400 /, target);
    }
    assert.match(await raw(url, `CONNECT ${place} HTTP/1.1\r\n${head}`), /^(?:HTTP\/1\.1 400 .*)?$/s);
  }
  assert.deepEqual([upstream.requests.length, trap.connections, asked], [0, 0, []]);
  for (const place of PLACES(trap.port)) {
    // Behind a registry's name it is a part of a repository's.
    await ask(`${url}/v2/docker.io/${encodeURIComponent(place)}/app/manifests/1`);
    // As a Host it chooses nothing, and the default registry's upstream is who is asked.
    await raw(url, `GET /v2/library/app/manifests/1 HTTP/1.1\r\nHost: ${place}\r\nConnection: close\r\n\r\n`);
    await raw(
      url,
      `GET /v2/library/app/manifests/1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: ${place}\r\nForwarded: host=${place}\r\nConnection: close\r\n\r\n`,
    );
  }
  assert.deepEqual([...new Set(asked)], [HOSTS.registry]);
  assert.ok(upstream.requests.every(({ path }) => path.startsWith("/v2/") && path.endsWith("/app/manifests/1")));
  assert.equal(trap.connections, 0);
});
