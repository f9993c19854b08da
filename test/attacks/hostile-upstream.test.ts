import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import { test, type TestContext } from "node:test";
import type { RegistryConfig } from "../../src/config/config.ts";
import { startCache, testRegistry } from "../support/cache.ts";
import { ask } from "../support/client.ts";
import { type FakeUpstreamOptions, startFakeUpstream } from "../support/fake-upstream.ts";
import { recordingLookup, startTrap } from "../support/trap.ts";
import { HOSTS } from "../support/upstreams.ts";

const USER = { kind: "basic", username: "the-user", password: "the-password" } as const;
const TOKEN = { kind: "bearer", token: "the-ready-token" } as const;
const SECRETS = /the-user|the-password|the-ready-token|dGhlLXVzZXI/;

interface World {
  readonly upstream?: FakeUpstreamOptions;
  readonly registry?: Partial<RegistryConfig>;
  readonly lookup?: LookupFunction;
}

/** A cache whose upstream has turned hostile, and somebody else's server. */
async function setUp(t: TestContext, { upstream: options, registry, lookup }: World) {
  const trap = await startTrap(t);
  const upstream = await startFakeUpstream({ ...options, hosts: HOSTS });
  t.after(async () => await upstream.stop());
  const dns = recordingLookup();
  const config = testRegistry(upstream.url, { realms: [HOSTS.token], ...registry });
  const cache = await startCache(t, [config], { lookup: lookup ?? dns.lookup });
  return { trap, upstream, asked: dns.asked, cache };
}

for (const [who, credentials] of Object.entries({ "a password": USER, nobody: undefined })) {
  test(`attack: realm swap: a 401 names another host's token service, which hears nothing; of ${who}`, async (t) => {
    const realms = (port: number) => [
      `http://evil.test:${port}/token`,
      `//evil.test:${port}/token`,
      `http://${HOSTS.token}.evil.test:${port}/token`,
      `http://${HOSTS.registry}.evil.test:${port}/token`,
      `http://evil-${HOSTS.token}:${port}/token`,
      `http://${HOSTS.token}@evil.test:${port}/token`,
      `http://${HOSTS.token}:80@evil.test:${port}/token`,
      `http://evil.test:${port}/?x=@${HOSTS.token}`,
      `http://evil.test:${port}#@${HOSTS.token}`,
      `http://evil.test:${port}\\\\@${HOSTS.token}/token`,
      `\\\\\\\\evil.test:${port}/token`,
      `http://[::ffff:127.0.0.1]:${port}/token`,
      `http://2130706433:${port}/token`,
      `ftp://${HOSTS.token}/token`,
    ];
    let all: readonly string[] = [];
    const challenge = ({ repository }: { repository: string | undefined }) => {
      return [`Bearer realm="${all[Number(repository?.replace(/\D/g, ""))]}",service="evil",scope="*"`];
    };
    const { trap, upstream, cache, asked } = await setUp(t, {
      upstream: { auth: { challenge }, users: { "the-user": "the-password" } },
      registry: { credentials },
    });
    all = realms(trap.port);
    for (const [index, realm] of all.entries()) {
      upstream.addImage(`library/r${index}`, "1");
      const { status } = await ask(`${cache.url}/v2/library/r${index}/manifests/1`);
      assert.ok(status >= 400, realm);
    }
    assert.equal(upstream.count({ role: "registry" }), all.length);
    assert.deepEqual([trap.connections, trap.heard], [0, []]);
    assert.ok(asked.every((name) => name === HOSTS.registry));
    assert.doesNotMatch(JSON.stringify(upstream.requests), SECRETS);
  });
}

for (const [who, credentials] of Object.entries({ "a password": USER, "a token": TOKEN })) {
  test(`attack: redirect with credentials: ${who} and what it got stay with their own host`, async (t) => {
    const { trap, upstream, cache } = await setUp(t, {
      upstream: { auth: "bearer", users: { "the-user": "the-password" }, bearerTokens: [TOKEN.token] },
      registry: { credentials },
    });
    const evil = `http://evil.test:${trap.port}`;
    const image = upstream.addImage("library/app", "1");
    const layer = image.layers[0]?.digest;
    await ask(`${cache.url}/v2/library/app/manifests/${image.digest}`);
    upstream.script(
      { role: "registry", authorized: true },
      { kind: "redirect", location: `${evil}/x`, times: Infinity },
    );
    upstream.addImage("library/other", "1");
    for (const path of [
      "app/manifests/2",
      `app/blobs/${layer}`,
      "app/tags/list",
      `app/referrers/${image.digest}`,
      "other/manifests/1",
      "other/tags/list",
    ]) {
      await ask(`${cache.url}/v2/library/${path}`);
    }
    assert.ok(trap.heard.length > 0);
    for (const { url, headers } of trap.heard) {
      assert.equal(headers.authorization, undefined, url);
      assert.doesNotMatch(JSON.stringify([url, headers]), SECRETS);
    }
  });
}

test("attack: redirect with credentials: a token service leads to another host, which hears nothing", async (t) => {
  const { trap, upstream, cache } = await setUp(t, {
    upstream: { auth: "bearer", users: { "the-user": "the-password" } },
    registry: { credentials: USER },
  });
  upstream.addImage("library/app", "1");
  const location = `http://evil.test:${trap.port}/token`;
  upstream.script({ role: "token" }, { kind: "redirect", location, times: Infinity });
  assert.ok((await ask(`${cache.url}/v2/library/app/manifests/1`)).status >= 400);
  assert.ok(upstream.count({ role: "token", authorized: true }) > 0);
  assert.equal(trap.connections, 0);
});

/** Loopback, with a port that somebody listens on, and what could only be told by the refusal. */
const INSIDE = (port: number) => [
  `http://127.0.0.1:${port}/`,
  `http://127.1:${port}/`,
  `http://2130706433:${port}/`,
  `http://0177.0.0.1:${port}/`,
  `http://0x7f.0.0.1:${port}/`,
  `http://0x7f000001:${port}/`,
  `http://127.0.0.1.:${port}/`,
  `http://%31%32%37.0.0.1:${port}/`,
  `http://%E2%91%A0%E2%91%A1%E2%91%A6.0.0.1:${port}/`,
  `http://0.0.0.0:${port}/`,
  `http://[::1]:${port}/`,
  `http://[::]:${port}/`,
  `http://[::ffff:127.0.0.1]:${port}/`,
  `http://[::ffff:7f00:1]:${port}/`,
  `http://[64:ff9b::127.0.0.1]:${port}/`,
  `http://localhost:${port}/`,
  `http://inside.test:${port}/`,
  "http://169.254.169.254/latest/meta-data/",
  "http://2852039166/latest/meta-data/",
  "http://0xa9.0xfe.0xa9.0xfe/latest/meta-data/",
  "http://[fd00:ec2::254]/latest/meta-data/",
  "http://[::ffff:169.254.169.254]/",
  "http://[fe80::1]/",
  "http://10.0.0.1/",
  "http://172.16.0.1/",
  "http://192.168.0.1/",
  "http://100.64.0.1/",
];

for (const what of ["manifest", "blob", "token"] as const) {
  test(`attack: a ${what} is redirected to the cache's own machine, its network or a metadata service, and nobody is asked`, async (t) => {
    const { trap, upstream, cache } = await setUp(t, {
      upstream: { auth: what === "token" ? "bearer" : "none", token: { host: "registry" } },
      registry: { allowPrivateAddresses: false, realms: ["*.test"] },
    });
    const role = what === "token" ? ({ role: "token" } as const) : {};
    const places = INSIDE(trap.port);
    for (const [index, location] of places.entries()) {
      const image = upstream.addImage(`library/r${index}`, "1");
      const script = upstream.script({ ...role, path: `r${index}` }, { kind: "redirect", location, times: Infinity });
      const path = what === "blob" ? `blobs/${image.layers[0]?.digest}` : "manifests/1";
      const answer = await ask(`${cache.url}/v2/library/r${index}/${path}`);
      assert.equal(answer.status, 502, location);
      // Not that it was tried in vain.
      assert.match(
        answer.body.toString(),
        /private address|no public address|not among this registry's realms/,
        location,
      );
      script.remove();
    }
    assert.equal(trap.connections, 0);
  });
}

/** Of no network that there is, so that nothing leaves the machine. */
const PUBLIC = "4000::1";

test("attack: DNS rebinding: a name is public when it is asked for first, and leads inside when it is dialled", async (t) => {
  const answers = new Map<string, number>();
  const lookup: LookupFunction = (hostname, { all }, callback) => {
    const count = (answers.get(hostname) ?? 0) + 1;
    answers.set(hostname, count);
    const isInside = hostname === HOSTS.registry || count % 2 === 0;
    const [address, family] = isInside ? (["127.0.0.1", 4] as const) : ([PUBLIC, 6] as const);
    if (all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
  const { trap, upstream, cache } = await setUp(t, {
    lookup,
    registry: {
      allowPrivateAddresses: false,
      timeouts: { connectMs: 200, headersMs: 2_000, idleMs: 2_000, askBudgetMs: 1_000 },
    },
  });
  const connections = 6;
  for (let time = 0; time < connections; time += 1) {
    upstream.addImage("library/app", `${time}`);
    const location = `http://rebound.test:${trap.port}/`;
    upstream.script({ path: `manifests/${time}` }, { kind: "redirect", location, times: Infinity });
    assert.ok((await ask(`${cache.url}/v2/library/app/manifests/${time}`)).status >= 500);
  }
  // Asked for once a connection: what was judged is what is dialled.
  assert.ok((answers.get("rebound.test") ?? 0) >= 2);
  assert.equal(trap.connections, 0);
});

for (const [what, body] of Object.entries({
  "longer than any header": `{"token":"${"x".repeat(70_000)}"}`,
  "in an answer without an end": `{"token":"short","padding":"${"x".repeat(8 * 1024 * 1024)}"}`,
  "with a line break": '{"token":"a\\r\\nX-Smuggled: 1"}',
  "with a space": '{"token":"a b"}',
  "beyond ASCII": '{"token":"ä"}',
  "that is no text": '{"token":{"a":1}}',
})) {
  test(`attack: oversized and broken tokens of a token service are not carried: ${what}`, async (t) => {
    const { upstream, cache } = await setUp(t, { upstream: { auth: "bearer", token: { body } } });
    upstream.addImage("library/app", "1");
    const { status } = await ask(`${cache.url}/v2/library/app/manifests/1`);
    assert.equal(status, 502);
    assert.ok(upstream.count({ role: "token" }) > 0);
    assert.equal(upstream.count({ role: "registry", authorized: true }), 0);
    assert.ok(upstream.requests.every(({ headers }) => headers["x-smuggled"] === undefined));
    assert.equal((await ask(`${cache.url}/healthz`)).status, 200);
  });
}
