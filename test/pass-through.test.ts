import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { OPEN_ACCESS, startCache, testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { type Answer, ask, errorCode } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

const HOST = "corp.cache.test";
const [OPEN, HIDDEN] = ["library/open", "org/hidden"];
const USERS = { ann: "ann's password", bob: "bob's password" };

/** A cache that passes clients' credentials to a registry with a host name of its own; a public and a private image. */
async function world(t: TestContext) {
  const upstream = await startFakeUpstream({ auth: "bearer", users: USERS, privateRepositories: [HIDDEN] });
  t.after(async () => await upstream.stop());
  const open = upstream.addImage(OPEN, "1", { seed: 1 });
  const hidden = upstream.addImage(HIDDEN, "1", { seed: 2 });
  const passing = testRegistry(upstream.url, {
    hostnames: [HOST],
    sharedRepositories: [],
    passThrough: true,
    libraryPrefix: false,
  });
  const dataDir = await tempDir(t);
  const getFrom =
    ({ url }: { readonly url: string }) =>
    async (path: string, more: { headers?: Record<string, string> } = {}) =>
      await ask(`${url}${path}`, { headers: { Host: HOST, ...more.headers } });
  return { upstream, open, hidden, passing, dataDir, getFrom };
}

async function setUp(t: TestContext) {
  const its = await world(t);
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(line) });
  const cache = await startCache(t, [its.passing], { dataDir: its.dataDir, log });
  return { ...its, cache, lines, get: its.getFrom(cache) };
}

function as(user: string, password: string): { headers: Record<string, string> } {
  return { headers: { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` } };
}

const ANN = as("ann", USERS.ann);

function bearer({ body }: Answer): { headers: Record<string, string> } {
  return { headers: { Authorization: `Bearer ${(JSON.parse(body.toString()) as { token: string }).token}` } };
}

for (const workers of [1, 2]) {
  test(`a private repository is for whom its registry lets in, also from the store; ${workers} workers`, async (t) => {
    const { upstream, hidden, getFrom, passing, dataDir } = await world(t);
    const get = getFrom(await startCacheProcess(t, testConfig(dataDir, [passing], { workers })));
    const paths = [
      `/v2/${HIDDEN}/manifests/1`,
      `/v2/${HIDDEN}/manifests/${hidden.digest}`,
      ...hidden.layers.map(({ digest }) => `/v2/${HIDDEN}/blobs/${digest}`),
      `/v2/${HIDDEN}/tags/list`,
      `/v2/${HIDDEN}/referrers/${hidden.digest}`,
    ];
    const statuses = async (more = {}) => await Promise.all(paths.map(async (path) => (await get(path, more)).status));
    const all = (status: number) => paths.map(() => status);
    assert.deepEqual(await statuses(), all(401));
    assert.deepEqual(await statuses(ANN), all(200));
    // Now it is all held.
    assert.deepEqual(await statuses(), all(401));
    assert.ok((await statuses(as("ann", "wrong"))).every((status) => status === 401 || status === 429));
    assert.deepEqual(await statuses(ANN), all(200));
    assert.deepEqual(await statuses(as("bob", USERS.bob)), all(200));
    const blobs = upstream.count({ method: "GET", path: `${HIDDEN}/blobs/` });
    assert.equal(blobs, hidden.layers.length);
  });
}

test("neither user nor password is shown to nobody, and is not taken for wrong ones", async (t) => {
  const { get, upstream } = await setUp(t);
  const answer = await get(`/v2/${HIDDEN}/manifests/1`, as("", ""));
  assert.equal(answer.status, 401);
  assert.match(answer.body.toString(), /this is private: pulling it here needs a user and a password/);
  assert.ok(upstream.requests.every(({ headers }) => headers.authorization !== as("", "").headers["Authorization"]));
});

test("what is public is for everybody, without anybody's credentials", async (t) => {
  const { upstream, open, get } = await setUp(t);
  assert.equal((await get(`/v2/${OPEN}/manifests/1`)).status, 200);
  for (const { digest, bytes } of open.layers)
    assert.ok((await get(`/v2/${OPEN}/blobs/${digest}`, ANN)).body.equals(bytes));
  assert.equal((await get(`/v2/${OPEN}/manifests/1`, as("ann", "wrong"))).status, 200);
  assert.equal(upstream.count({ role: "token", authorized: true }), 0);
});

test("the registry is asked once in a while for each client, not at each request", async (t) => {
  const { upstream, hidden, get } = await setUp(t);
  for (let time = 0; time < 3; time++) {
    assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, ANN)).status, 200);
    for (const { digest } of hidden.layers) assert.equal((await get(`/v2/${HIDDEN}/blobs/${digest}`, ANN)).status, 200);
  }
  const asked = upstream.requests.filter(({ path, status }) => path.includes("/tags/list?n=1") && status === 200);
  assert.equal(asked.length, 1);
});

test("clients that look for a challenge are given one, and tokens that say the same to the registry", async (t) => {
  const { cache, get } = await setUp(t);
  const port = new URL(cache.url).port;
  const host = { Host: `${HOST}:${port}` };
  const ping = await get("/v2/", { headers: host });
  assert.equal(ping.status, 401);
  assert.equal(
    ping.headers["www-authenticate"],
    `Bearer realm="http://${HOST}:${port}/token",service="registry-cache"`,
  );
  const refused = await get(`/v2/${HIDDEN}/manifests/1`);
  assert.match(String(refused.headers["www-authenticate"]), new RegExp(`scope="repository:${HIDDEN}:pull"$`));
  const named = bearer(await get("/token?service=registry-cache", ANN));
  assert.equal((await get("/v2/", named)).status, 200);
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, named)).status, 200);
  const nameless = bearer(await get("/token"));
  assert.equal((await get("/v2/", nameless)).status, 200);
  assert.equal((await get(`/v2/${OPEN}/manifests/1`, nameless)).status, 200);
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, nameless)).status, 401);
  const wrong = bearer(await get("/token", as("ann", "wrong")));
  const denied = await get(`/v2/${HIDDEN}/manifests/1`, wrong);
  assert.deepEqual([denied.status, errorCode(denied)], [401, "UNAUTHORIZED"]);
  // Nobody makes one token of another for ever.
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, bearer(await get("/token", named)))).status, 401);
  for (const text of ["", "abc", "A".repeat(10_000), `${named.headers["Authorization"]?.slice(7, -2)}xx`]) {
    const answer = await get(`/v2/${HIDDEN}/manifests/1`, { headers: { Authorization: `Bearer ${text}` } });
    assert.equal(answer.status, 401);
  }
});

test("who asks for a token with what cannot be passed on is told so", async (t) => {
  const { cache, get } = await setUp(t);
  const post = async (form: Record<string, string>) =>
    await ask(`${cache.url}/token`, {
      method: "POST",
      headers: { Host: HOST, "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(form).toString(),
    });
  const password = { grant_type: "password", username: "ann" };
  for (const tooLong of [
    await get("/token", as("ann", "x".repeat(6_000))),
    await post({ ...password, password: "x".repeat(6_000) }),
    // It grows where it is written down.
    await get("/token", as("ann", '"'.repeat(5_900))),
  ]) {
    assert.deepEqual([tooLong.status, errorCode(tooLong)], [400, "UNSUPPORTED"]);
    assert.match(tooLong.body.toString(), /too long to be passed on/);
  }
  const long = bearer(await get("/token", as("ann", "x".repeat(5_900))));
  assert.equal((await get("/v2/", long)).status, 200);
  const refresh = await post({ grant_type: "refresh_token", refresh_token: "of another login" });
  assert.equal(refresh.status, 400);
  assert.match(refresh.body.toString(), /log in with a user and a password/);
});

test("credentials count at the registry's own host name alone", async (t) => {
  const { upstream, cache, get } = await setUp(t);
  const named = bearer(await get("/token", ANN));
  for (const more of [ANN, named]) {
    const answer = await ask(`${cache.url}/v2/docker.io/${HIDDEN}/manifests/1`, more);
    assert.deepEqual([answer.status, errorCode(answer)], [403, "DENIED"]);
    assert.match(answer.body.toString(), new RegExp(`pull it from ${HOST}`));
  }
  assert.equal(upstream.count({ role: "token", authorized: true }), 0);
  assert.equal((await ask(`${cache.url}/v2/docker.io/${OPEN}/manifests/1`)).status, 200);
  // Elsewhere nobody is asked for anything.
  assert.equal((await ask(`${cache.url}/v2/`)).status, 200);
  assert.equal((await ask(`${cache.url}/token`)).status, 404);
});

test("no list names what is private", async (t) => {
  const { cache, get } = await setUp(t);
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, ANN)).status, 200);
  assert.equal((await get(`/v2/${OPEN}/manifests/1`)).status, 200);
  await cache.app.idle();
  for (const path of ["/", "/?n=100", "/summary", "/v2/_catalog"]) {
    const { body } = await ask(`${cache.url}${path}`);
    assert.ok(!body.includes("hidden"), path);
    assert.equal(body.includes("open"), path !== "/summary", path);
  }
});

test("no list names what was shared before credentials were passed through", async (t) => {
  const { passing, dataDir, getFrom } = await world(t);
  const credentials = { kind: "basic", username: "ann", password: USERS.ann } as const;
  const shared = { ...passing, credentials, passThrough: false, sharedRepositories: [HIDDEN] };
  const before = await startCache(t, [shared], { dataDir });
  for (const name of [OPEN, HIDDEN]) assert.equal((await getFrom(before)(`/v2/${name}/manifests/1`)).status, 200);
  await before.app.idle();
  const lists = ["/", "/?n=100", "/v2/_catalog", "/v2/docker.io/_catalog"];
  for (const path of lists) assert.ok((await ask(`${before.url}${path}`)).body.includes("hidden"), path);
  await before.stop();
  const cache = await startCache(t, [passing], { dataDir });
  for (const path of lists) {
    const { body } = await ask(`${cache.url}${path}`);
    assert.deepEqual([body.includes("open"), body.includes("hidden")], [true, false], path);
  }
  assert.equal((await getFrom(cache)(`/v2/${HIDDEN}/manifests/1`)).status, 401);
});

test("while the registry is away, what it gave to everybody is given out, and what is private to who was let in lately", async (t) => {
  const { upstream, cache, get } = await setUp(t);
  for (const name of [OPEN, HIDDEN]) assert.equal((await get(`/v2/${name}/manifests/1`, ANN)).status, 200);
  await cache.app.idle();
  await upstream.stop();
  assert.equal((await get(`/v2/${OPEN}/manifests/1`)).status, 200);
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, ANN)).status, 200);
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`)).status, 401);
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, as("bob", USERS.bob))).status, 502);
  const again = await cache.restart();
  const later = async (name: string) =>
    (await ask(`${again.url}/v2/${name}/manifests/1`, { headers: { Host: HOST, ...ANN.headers } })).status;
  assert.equal(await later(OPEN), 200);
  assert.equal(await later(HIDDEN), 502);
});

test("nobody guesses a registry's passwords by way of the cache", async (t) => {
  const { upstream, get } = await setUp(t);
  const guess = async (number: number) => (await get(`/v2/${HIDDEN}/manifests/1`, as("ann", `guess ${number}`))).status;
  for (let number = 0; number < 5; number++) assert.equal(await guess(number), 401);
  const before = upstream.requests.length;
  assert.equal(await guess(6), 429);
  assert.equal(upstream.requests.length, before);
  // The same wrong password again is no further guess.
  assert.equal(await guess(4), 401);
});

test("who asks for what is not there is no guesser, with the right password", async (t) => {
  const { get } = await setUp(t);
  for (let number = 0; number < 8; number++) {
    assert.equal((await get(`/v2/org/missing-${number}/manifests/1`, ANN)).status, 401);
  }
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, ANN)).status, 200);
});

test("many guesses at once are looked at a few at a time", async (t) => {
  const { upstream, get } = await setUp(t);
  const guesses = Array.from({ length: 60 }, (_, number) => as("ann", `guess ${number}`));
  const statuses = await Promise.all(
    guesses.map(async (more) => (await get(`/v2/${HIDDEN}/manifests/1`, more)).status),
  );
  assert.ok(statuses.includes(429));
  // Those that are free, and those that were under way when they were used up.
  assert.ok(upstream.count({ role: "token", authorized: true }) <= 10);
});

test("new private content is not had because one question failed", async (t) => {
  const { upstream, get, cache, getFrom } = await setUp(t);
  assert.equal((await get(`/v2/${OPEN}/manifests/1`)).status, 200);
  await cache.app.idle();
  const again = getFrom(await cache.restart());
  // Before anybody has asked whether it is still public.
  upstream.script({ role: "registry", path: "/tags/list?n=1" }, { kind: "status", status: 503, times: 1 });
  const fresh = upstream.addImage(OPEN, "1", { seed: "newer" });
  const stale = await again(`/v2/${OPEN}/manifests/1`);
  assert.equal(stale.status, 200);
  assert.notEqual(stale.headers["docker-content-digest"], fresh.digest);
  assert.match(String(stale.headers["cache-status"]), /stale-server-error/);
});

test("clients' credentials are in no log and in no file", async (t) => {
  const { lines, get, dataDir, cache } = await setUp(t);
  const named = bearer(await get("/token", ANN));
  for (const more of [ANN, named, as("ann", "wrong password")]) await get(`/v2/${HIDDEN}/manifests/1`, more);
  await cache.app.idle();
  const encoded = ANN.headers["Authorization"]?.slice("Basic ".length) ?? "";
  for (const secret of [USERS.ann, "wrong password", encoded, named.headers["Authorization"]?.slice(7, 60) ?? ""]) {
    assert.ok(!lines.join("").includes(secret));
    const found = execFileSync("sh", ["-c", 'grep -rlF -- "$1" "$2" || true', "sh", secret, dataDir]).toString();
    assert.equal(found, "");
  }
});

test("rules tell strangers nothing of what is held of a private repository", async (t) => {
  const { upstream, hidden, passing, getFrom } = await world(t);
  const rule = { who: "*", registry: undefined, repository: "**", minAgeMs: 0 };
  const rules = [
    { ...rule, repository: "org/closed", tag: "*", allow: false },
    { ...rule, tag: "1*", allow: true },
    { ...rule, tag: "*", allow: false },
  ];
  const get = getFrom(await startCache(t, [passing], { config: { access: { ...OPEN_ACCESS, rules } } }));
  const paths = [`manifests/${hidden.digest}`, ...hidden.layers.map(({ digest }) => `blobs/${digest}`)];
  const statuses = async (repository: string, more = {}) =>
    await Promise.all(paths.map(async (path) => (await get(`/v2/${repository}/${path}`, more)).status));
  const all = (status: number) => paths.map(() => status);
  assert.deepEqual(await statuses(HIDDEN), all(401));
  assert.equal((await get(`/v2/${HIDDEN}/manifests/1`, ANN)).status, 200);
  assert.deepEqual(await statuses(HIDDEN), all(401));
  assert.deepEqual(await statuses(HIDDEN, ANN), all(200));
  // What is forbidden by its name alone nobody's credentials are sent for.
  const asked = upstream.requests.length;
  assert.deepEqual(await statuses("org/closed", ANN), all(403));
  assert.equal(upstream.requests.length, asked);
});
