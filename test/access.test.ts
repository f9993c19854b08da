import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import { pino } from "pino";
import type { AccessConfig, AccessRule, RegistryConfig } from "../src/config/config.ts";
import { OPEN_ACCESS, startCache, testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { ask, errorCode } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

const TOKEN = "secret-path-of-the-lab-0123456789";
/** As cheap as bcrypt can be. */
const COST = 4;

async function usersFile(t: TestContext, users: Record<string, string>): Promise<string> {
  const path = join(await tempDir(t), "users.htpasswd");
  await writeUsers(path, users);
  return path;
}

async function writeUsers(path: string, users: Record<string, string>): Promise<void> {
  const lines = Object.entries(users).map(([user, password]) => `${user}:${hashSync(password, COST)}\n`);
  await writeFile(path, lines.join(""));
}

function as(user: string, password: string): { headers: Record<string, string> } {
  return { headers: { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` } };
}

/** A cache with an image of Docker Hub and one of another registry, and what it logs. */
async function setUp(t: TestContext, access: Partial<AccessConfig>, differs: Partial<RegistryConfig> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const image = upstream.addImage("library/app", "1");
  const registries = [
    testRegistry(upstream.url, differs),
    // By another name, or it would be the same upstream.
    testRegistry(upstream.url.replace("127.0.0.1", "localhost"), {
      id: "corp",
      serves: "corp.example",
      aliases: [],
      libraryPrefix: false,
    }),
  ];
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(line) });
  const cache = await startCache(t, registries, { config: { access: { ...OPEN_ACCESS, ...access } }, log });
  return { upstream, image, cache, lines, url: cache.url };
}

const RULE: AccessRule = { who: "*", registry: undefined, repository: "*", tag: "*", allow: true, minAgeMs: 0 };

test("with users nobody pulls without a password, and everybody is told how", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url, image, upstream } = await setUp(t, { anonymous: false, htpasswd });
  const manifest = `${url}/v2/library/app/manifests/1`;
  const blob = `${url}/v2/library/app/blobs/${image.layers[0]?.digest}`;
  for (const path of [`${url}/v2/`, manifest, blob, `${url}/v2/_catalog`, `${url}/`, `${url}/summary`]) {
    const answer = await ask(path);
    assert.equal(answer.status, 401, path);
    assert.equal(answer.headers["www-authenticate"], 'Basic realm="Registry Cache", charset="UTF-8"');
    assert.equal(errorCode(answer), "UNAUTHORIZED");
    assert.equal((await ask(path, as("me", "wrong"))).status, 401);
    if (path !== blob) assert.equal((await ask(path, as("me", "correct horse"))).status, 200, path);
  }
  assert.equal((await ask(blob, as("me", "correct horse"))).status, 200);
  for (const open of ["/healthz", "/readyz"]) assert.equal((await ask(url + open)).status, 200);
  assert.ok(upstream.requests.every(({ headers }) => headers.authorization === undefined));
});

test("a changed password file counts at once for those who are new, and for those who are gone", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url, lines } = await setUp(t, { anonymous: false, htpasswd });
  const statusOf = async (user: string, password: string) => (await ask(`${url}/v2/`, as(user, password))).status;
  assert.equal(await statusOf("me", "correct horse"), 200);
  await writeUsers(htpasswd, { you: "battery staple" });
  await eventually(async () => (await statusOf("you", "battery staple")) === 200);
  assert.equal(await statusOf("me", "correct horse"), 401);
  await rm(htpasswd);
  await eventually(async () => (await statusOf("you", "battery staple")) === 401);
  assert.match(lines.join(""), /"level":40,.*the password file is not there any more, so that there are no users/);
});

test("who guesses passwords has to wait, who is known has not", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url, lines } = await setUp(t, { anonymous: false, htpasswd });
  assert.equal((await ask(`${url}/v2/`, as("me", "correct horse"))).status, 200);
  for (let time = 0; time < 5; time++) {
    assert.equal((await ask(`${url}/v2/`, as("nobody", `guess ${time}`))).status, 401);
  }
  const refused = await ask(`${url}/v2/`, as("nobody", "guess"));
  assert.deepEqual([refused.status, errorCode(refused), refused.headers["retry-after"]], [429, "TOOMANYREQUESTS", "1"]);
  assert.equal((await ask(`${url}/v2/`, as("me", "correct horse"))).status, 200);
  assert.ok(lines.some((line) => line.includes("guessing passwords") && line.includes('"wrongPasswords":5')));
  assert.ok(!lines.join("").includes("guess 1"));
});

test("neither user nor password is none, and no guess: Skopeo and Podman send that when they have none", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  for (const bearer of [false, true]) {
    const { url, lines } = await setUp(t, { anonymous: false, htpasswd, bearer });
    for (let time = 0; time < 7; time++) {
      const answer = await ask(`${url}/v2/`, as("", ""));
      assert.equal(answer.status, 401);
      assert.match(answer.body.toString(), /pulling here needs a user and a password/);
    }
    assert.doesNotMatch(lines.join(""), /guessing/);
  }
});

test("many at once with one password cost one hash, and are all let in", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url } = await setUp(t, { anonymous: false, htpasswd });
  const answers = await Promise.all(
    Array.from({ length: 200 }, async () => await ask(`${url}/v2/`, as("me", "correct horse"))),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
});

test("addresses outside of the networks get nothing but the health", async (t) => {
  const { url, upstream } = await setUp(t, { networks: ["10.0.0.0/8"] });
  for (const path of ["/v2/", "/v2/library/app/manifests/1", "/", "/summary", "/nothing"]) {
    const answer = await ask(url + path);
    assert.deepEqual([answer.status, errorCode(answer)], [403, "DENIED"], path);
    assert.match(answer.body.toString(), /127\.0\.0\.1 is not in a network/);
  }
  assert.equal((await ask(`${url}/healthz`)).status, 200);
  assert.equal(upstream.requests.length, 0);
  const inside = await setUp(t, { networks: ["10.0.0.0/8", "127.0.0.0/8"] });
  assert.equal((await ask(`${inside.url}/v2/library/app/manifests/1`)).status, 200);
});

test("a registry that is closed to those without a name says so where nobody can have one", async (t) => {
  const { url } = await setUp(t, { networks: ["127.0.0.0/8"] }, { anonymous: false });
  const answer = await ask(`${url}/v2/library/app/manifests/1`);
  assert.equal(answer.status, 403);
  assert.match(answer.body.toString(), /pulling here needs a name, and no method under access gives one/);
});

test("a secret path is good for images of Docker Hub and for nothing else", async (t) => {
  const { url, image, lines } = await setUp(t, { anonymous: false, paths: [{ name: "lab", token: TOKEN }] });
  const secret = `${url}/t/${TOKEN}`;
  const digest = image.layers[0]?.digest;
  for (const path of [
    "/v2/",
    "/v2/library/app/manifests/1",
    `/v2/library/app/blobs/${digest}`,
    "/v2/app/manifests/1?ns=docker.io",
  ]) {
    assert.equal((await ask(secret + path)).status, 200, path);
    // No challenge: nothing that could be sent would help.
    assert.equal((await ask(url + path)).status, 403, path);
  }
  for (const path of [
    "/v2/corp.example/library/app/manifests/1",
    "/v2/library/app/manifests/1?ns=corp.example",
    "/corp.example/v2/library/app/manifests/1",
    "/v2/_catalog",
    "/v2/library/app/tags/list",
    "/",
    "/summary",
  ]) {
    assert.equal((await ask(secret + path)).status, 403, path);
  }
  const wrong = await ask(`${url}/t/${TOKEN.slice(1)}/v2/library/app/manifests/1`);
  assert.equal(wrong.status, 404);
  assert.equal((await ask(`${url}/t/${TOKEN.replace("s", "%73")}/v2/`)).status, 404);
  assert.ok(lines.some((line) => line.includes('"principal":"lab"')));
  assert.ok(!lines.join("").includes(TOKEN.slice(1)));
});

test("a secret path is another as soon as its file is, and what is no token changes nothing", async (t) => {
  const file = join(await tempDir(t), "lab.token");
  await writeFile(file, TOKEN);
  const { url, lines } = await setUp(t, { anonymous: false, paths: [{ name: "lab", token: TOKEN, file }] });
  const statusOf = async (token: string) => (await ask(`${url}/t/${token}/v2/library/app/manifests/1`)).status;
  assert.equal(await statusOf(TOKEN), 200);
  await writeFile(file, "short\n");
  await eventually(async () => lines.some((line) => line.includes("cannot be read anew")));
  assert.equal(await statusOf(TOKEN), 200);
  await writeFile(file, " ".repeat(5_000) + TOKEN);
  await eventually(async () => lines.some((line) => line.includes("it has more than 4096 bytes")));
  const other = TOKEN.toUpperCase();
  await writeFile(file, `${other}\n`);
  await eventually(async () => (await statusOf(other)) === 200);
  assert.equal(await statusOf(TOKEN), 404);
  assert.ok(!lines.join("").includes(other));
});

test("a registry may be open to all where the others are not, and the other way round", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url } = await setUp(t, { anonymous: false, htpasswd }, { anonymous: true });
  assert.equal((await ask(`${url}/v2/`)).status, 200);
  assert.equal((await ask(`${url}/v2/library/app/manifests/1`)).status, 200);
  assert.equal((await ask(`${url}/v2/library/app/manifests/1`, as("me", "wrong"))).status, 200);
  assert.equal((await ask(`${url}/v2/corp.example/library/app/manifests/1`)).status, 401);
  assert.equal((await ask(`${url}/corp.example/v2/`)).status, 401);
  const closed = await setUp(t, { htpasswd }, { anonymous: false });
  assert.equal((await ask(`${closed.url}/v2/library/app/manifests/1`)).status, 401);
  assert.equal((await ask(`${closed.url}/v2/corp.example/library/app/manifests/1`)).status, 200);
  // They name what the closed one has.
  assert.equal((await ask(`${closed.url}/summary`)).status, 401);
});

test("rules are enforced on digests too, by the tags that lead to them", async (t) => {
  const rules = [
    { ...RULE, repository: "library/app", tag: "1" },
    { ...RULE, repository: "library/app", allow: false },
  ];
  const { url, image, upstream } = await setUp(t, { rules });
  const other = upstream.addImage("library/app", "nightly", { seed: 2 });
  const pulled = async (path: string) => (await ask(`${url}/v2/library/app/${path}`)).status;
  // Nobody knows yet which tag leads to it.
  assert.equal(await pulled(`manifests/${image.digest}`), 403);
  assert.equal(await pulled("manifests/1"), 200);
  assert.equal(await pulled(`manifests/${image.digest}`), 200);
  for (const { digest } of image.layers) assert.equal(await pulled(`blobs/${digest}`), 200);
  assert.equal(await pulled("manifests/nightly"), 403);
  assert.equal(await pulled(`manifests/${other.digest}`), 403);
  for (const { digest } of other.layers) assert.equal(await pulled(`blobs/${digest}`), 403);
  const refused = await ask(`${url}/v2/library/app/manifests/nightly`);
  assert.match(refused.body.toString(), /rule 2 of this cache does not let anonymous pull this/);
});

test("a rule is for those whom it names", async (t) => {
  const htpasswd = await usersFile(t, { "ci-1": "correct horse", me: "battery staple" });
  const rules = [
    { ...RULE, who: "ci-*", registry: "dockerhub", repository: "library/**" },
    { ...RULE, who: "ci-*", allow: false },
  ];
  const { url } = await setUp(t, { anonymous: false, htpasswd, rules });
  const [hub, corp] = [`${url}/v2/library/app/manifests/1`, `${url}/v2/corp.example/library/app/manifests/1`];
  assert.equal((await ask(hub, as("ci-1", "correct horse"))).status, 200);
  const refused = await ask(corp, as("ci-1", "correct horse"));
  assert.deepEqual([refused.status, errorCode(refused)], [403, "DENIED"]);
  assert.equal((await ask(corp, as("me", "battery staple"))).status, 200);
});

test("the operator hears of a Docker Engine that sends somebody's password for Docker Hub, and nobody hears the password", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url, lines, upstream } = await setUp(t, { anonymous: false, htpasswd });
  const { headers } = as("hubuser", "hub-password");
  for (let time = 0; time < 3; time++) {
    await ask(`${url}/v2/`, { headers: { ...headers, "User-Agent": "docker/28.0.1 go/go1.23.6 UpstreamClient(Go)" } });
  }
  const told = lines.filter((line) => line.includes("registry-mirrors"));
  assert.equal(told.length, 1);
  assert.ok(!lines.join("").includes("hub-password") && !lines.join("").includes("hubuser"));
  assert.equal(upstream.requests.length, 0);
});

test("with `bearer`, passwords are asked for by the token flow", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url, image, upstream, lines } = await setUp(t, { anonymous: false, htpasswd, bearer: true });
  const manifest = `${url}/v2/library/app/manifests/1`;
  const refused = await ask(manifest);
  const scope = "repository:library/app:pull";
  const challenge = `Bearer realm="${url}/token",service="registry-cache",scope="${scope}"`;
  assert.deepEqual([refused.status, refused.headers["www-authenticate"]], [401, challenge]);
  assert.equal(
    (await ask(`${url}/v2/`)).headers["www-authenticate"],
    `Bearer realm="${url}/token",service="registry-cache"`,
  );
  const tokenUrl = `${url}/token?service=registry-cache&scope=${scope}&scope=repository:library/other:pull&account=me`;
  const answer = await ask(tokenUrl, as("me", "correct horse"));
  const { token, access_token, expires_in } = JSON.parse(answer.body.toString()) as Record<string, string>;
  assert.equal(token, access_token);
  assert.ok(Number(expires_in) >= 60);
  const bearer = (text: string | undefined) => ({ headers: { Authorization: `Bearer ${text}` } });
  for (const path of [
    "/v2/",
    "/v2/library/app/manifests/1",
    `/v2/library/app/blobs/${image.layers[0]?.digest}`,
    "/summary",
  ]) {
    assert.equal((await ask(url + path, bearer(token))).status, 200, path);
  }
  // Static headers of containerd.
  assert.equal((await ask(manifest, as("me", "correct horse"))).status, 200);
  const wrong = await ask(manifest, bearer(`${token}x`));
  assert.deepEqual([wrong.status, wrong.headers["www-authenticate"]], [401, `${challenge},error="invalid_token"`]);
  const basic = 'Basic realm="Registry Cache", charset="UTF-8"';
  const denied = await ask(tokenUrl, as("me", "wrong"));
  assert.deepEqual([denied.status, denied.headers["www-authenticate"]], [401, basic]);
  const nobody = JSON.parse((await ask(tokenUrl)).body.toString()) as { token: string };
  assert.equal((await ask(manifest, bearer(nobody.token))).status, 401);
  const all = lines.join("") + JSON.stringify(upstream.requests.map(({ headers }) => headers));
  assert.ok(!all.includes(String(token)) && !all.includes("correct horse"));
});

test("a token is had by a form as well, and by nothing else", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url } = await setUp(t, { anonymous: false, htpasswd, bearer: true });
  const post = async (form: string) =>
    await ask(`${url}/token`, { method: "POST", headers: { "Content-Length": String(form.length) }, body: form });
  const answer = await post("grant_type=password&username=me&password=correct+horse&service=registry-cache");
  const { access_token: token } = JSON.parse(answer.body.toString()) as { access_token: string };
  assert.equal((await ask(`${url}/v2/`, { headers: { Authorization: `Bearer ${token}` } })).status, 200);
  assert.equal((await post("grant_type=password&username=me&password=wrong")).status, 401);
  assert.equal((await post("grant_type=refresh_token&refresh_token=x")).status, 400);
  assert.equal((await post("")).status, 400);
  assert.equal((await post(`grant_type=password&username=${"x".repeat(20_000)}`)).status, 413);
  assert.equal((await ask(`${url}/token`, { method: "DELETE" })).status, 405);
  const without = await setUp(t, { anonymous: false, htpasswd });
  assert.equal((await ask(`${without.url}/token`, as("me", "correct horse"))).status, 404);
});

test("a token gives no token, and is nobody's once its user is gone", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse", you: "battery staple" });
  const { url } = await setUp(t, { anonymous: false, htpasswd, bearer: true, paths: [{ name: "lab", token: TOKEN }] });
  const tokenFor = async (user: string, password: string) => {
    const { body } = await ask(`${url}/token`, as(user, password));
    return { headers: { Authorization: `Bearer ${(JSON.parse(body.toString()) as { token: string }).token}` } };
  };
  const [mine, yours] = [await tokenFor("me", "correct horse"), await tokenFor("you", "battery staple")];
  assert.equal((await ask(`${url}/token`, mine)).status, 401);
  // A secret path is good for Docker Hub alone, and would be good for everything.
  assert.equal((await ask(`${url}/t/${TOKEN}/token`)).status, 401);
  assert.equal((await ask(`${url}/v2/`, mine)).status, 200);
  await writeUsers(htpasswd, { you: "battery staple" });
  await eventually(async () => (await ask(`${url}/v2/`, mine)).status === 401);
  assert.equal((await ask(`${url}/v2/`, yours)).status, 200);
});

test("what names the content of all registries is for who may come in to all of them", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const { url } = await setUp(t, { anonymous: false, htpasswd }, { anonymous: true });
  await ask(`${url}/v2/corp.example/library/app/manifests/1`, as("me", "correct horse"));
  for (const path of ["/v2/_catalog", "/", "/summary"]) {
    assert.equal((await ask(url + path)).status, 401, path);
    assert.equal((await ask(url + path, as("me", "correct horse"))).status, 200, path);
  }
  assert.equal((await ask(`${url}/v2/docker.io/_catalog`)).status, 200);
  assert.equal((await ask(`${url}/v2/corp.example/_catalog`)).status, 401);
});

test("what is forbidden or closed is so under every name of the same upstream", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  upstream.addImage("corp/app", "1");
  upstream.addImage("open/app", "1");
  const named = (id: string, serves: string, differs: Partial<RegistryConfig> = {}) =>
    testRegistry(upstream.url, { id, serves, aliases: [], libraryPrefix: false, ...differs });
  const rules = [{ ...RULE, registry: "ghcr", repository: "corp/**", allow: false }];
  const forbidden = await startCache(t, [named("ghcr", "ghcr.io"), named("lscr", "lscr.io")], {
    config: { access: { ...OPEN_ACCESS, rules } },
  });
  const statusOf = async (url: string, path: string) => (await ask(`${url}/v2/${path}/manifests/1`)).status;
  for (const name of ["ghcr.io", "lscr.io"]) {
    assert.equal(await statusOf(forbidden.url, `${name}/corp/app`), 403, name);
    assert.equal(await statusOf(forbidden.url, `${name}/open/app`), 200, name);
  }
  const closed = await startCache(t, [named("ghcr", "ghcr.io", { anonymous: false }), named("lscr", "lscr.io")], {
    config: { access: { ...OPEN_ACCESS, htpasswd } },
  });
  assert.equal(await statusOf(closed.url, "ghcr.io/open/app"), 401);
  assert.equal(await statusOf(closed.url, "lscr.io/open/app"), 401);
});

test("a burst of guesses is looked at a few at a time, and keeps nobody else waiting", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const access = { ...OPEN_ACCESS, anonymous: false, htpasswd };
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const { url } = await startCache(t, [testRegistry(upstream.url)], {
    config: { access, trustedProxies: ["127.0.0.1"] },
  });
  const from = (address: string, user: string, password: string) => ({
    headers: { ...as(user, password).headers, "X-Forwarded-For": address },
  });
  const guesses = Array.from({ length: 100 }, async (_, index) => {
    return (await ask(`${url}/v2/`, from("192.0.2.1", `user ${index}`, "wrong password"))).status;
  });
  assert.equal((await ask(`${url}/v2/`, from("192.0.2.2", "me", "correct horse"))).status, 200);
  const statuses = await Promise.all(guesses);
  assert.ok(statuses.filter((status) => status === 401).length <= 30, statuses.join(" "));
  assert.ok(statuses.every((status) => [401, 429, 503].includes(status)));
});

test("a secret path that is a little wrong has no secret in the log", async (t) => {
  const { url, lines, upstream } = await setUp(t, { anonymous: false, paths: [{ name: "lab", token: TOKEN }] });
  for (const path of [
    `//t/${TOKEN}/v2/`,
    `/t//${TOKEN}/v2/`,
    `/t/${TOKEN}/t/${TOKEN}/v2/`,
    `/%74/${TOKEN}/v2/`,
    `/v2/t/${TOKEN}/library/app/manifests/1`,
    `/t/x/../${TOKEN}/v2/`,
    `/t/${TOKEN}/v2/t/${TOKEN}/app/manifests/1`,
  ]) {
    assert.ok((await ask(url + path)).status >= 400, path);
  }
  assert.deepEqual(
    lines.filter((line) => line.includes(TOKEN)),
    [],
  );
  assert.equal(upstream.requests.length, 0);
});

test("behind a trusted proxy it is the client's own address and scheme that count", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const access = { ...OPEN_ACCESS, anonymous: false, htpasswd, bearer: true, networks: ["192.0.2.0/24"] };
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const registries = [testRegistry(upstream.url)];
  const behind = await startCache(t, registries, { config: { access, trustedProxies: ["127.0.0.1"] } });
  const from = (address: string) => ({
    headers: { "X-Forwarded-For": address, "X-Forwarded-Proto": "https", Host: "cache.example.com" },
  });
  const inside = await ask(`${behind.url}/v2/`, from("192.0.2.7"));
  assert.equal(inside.status, 401);
  assert.match(String(inside.headers["www-authenticate"]), /realm="https:\/\/cache\.example\.com\/token"/);
  assert.equal((await ask(`${behind.url}/v2/`, from("198.51.100.7"))).status, 403);
  assert.equal((await ask(`${behind.url}/v2/`, from("192.0.2.7, 198.51.100.7"))).status, 403);
  const direct = await startCache(t, registries, { config: { access } });
  assert.equal((await ask(`${direct.url}/v2/`, from("192.0.2.7"))).status, 403);
});

test("the operator hears of a proxy that is not trusted", async (t) => {
  const { url, lines } = await setUp(t, {});
  for (let time = 0; time < 2; time++) await ask(`${url}/v2/`, { headers: { "X-Forwarded-Proto": "https" } });
  const told = lines.filter((line) =>
    line.includes("127.0.0.1 sends X-Forwarded-Proto and is not in `trusted_proxies`"),
  );
  assert.equal(told.length, 1);
});

test("hosts that were challenged and stay away are listed, with address and user agent; those that come back are not", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const access = { ...OPEN_ACCESS, anonymous: false, htpasswd };
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const config = { access, trustedProxies: ["127.0.0.1"] };
  const { url } = await startCache(t, [testRegistry(upstream.url)], { config });
  t.mock.timers.enable({ apis: ["Date"], now: 1_800_000_000_000 });
  const from = (address: string, more = {}) => ({
    headers: { "X-Forwarded-For": address, "User-Agent": `agent of ${address}`, ...more },
  });
  for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.1"]) await ask(`${url}/v2/`, from(address));
  const me = as("me", "correct horse").headers;
  assert.equal((await ask(`${url}/v2/`, from("192.0.2.2", me))).status, 200);
  t.mock.timers.tick(61_000);
  assert.equal((await ask(`${url}/api/v1/bypassing`, from("192.0.2.3"))).status, 401);
  const answer = await ask(`${url}/api/v1/bypassing`, from("192.0.2.3", me));
  const at = new Date(1_800_000_000_000).toISOString();
  const expected = { client: "192.0.2.1", userAgent: "agent of 192.0.2.1", challenges: 2, firstAt: at, lastAt: at };
  assert.deepEqual(JSON.parse(answer.body.toString()), { bypassing: [expected] });
});

test("several processes ask the one that has the users, which tells all when they change", async (t) => {
  const htpasswd = await usersFile(t, { me: "correct horse" });
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const image = upstream.addImage("library/app", "1");
  const tokenFile = join(await tempDir(t), "lab.token");
  await writeFile(tokenFile, TOKEN);
  const access = {
    ...OPEN_ACCESS,
    anonymous: false,
    htpasswd,
    bearer: true,
    paths: [{ name: "lab", token: TOKEN, file: tokenFile }],
  };
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url)], { workers: 3, access });
  const { url } = await startCacheProcess(t, config);
  const manifest = `/v2/library/app/manifests/${image.digest}`;
  const statusesOf = async (path: string, how = {}) =>
    new Set(
      (await Promise.all(Array.from({ length: 9 }, async () => await ask(url + path, how)))).map(
        ({ status }) => status,
      ),
    );
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await statusesOf(manifest), new Set([401]));
    assert.deepEqual(await statusesOf(manifest, as("me", "correct horse")), new Set([200]));
    assert.deepEqual(await statusesOf(`/t/${TOKEN}${manifest}`), new Set([200]));
    assert.deepEqual(await statusesOf(`/t/${TOKEN}${manifest.replace("/v2/", "/v2/ghcr.io/")}`), new Set([404]));
  }
  const { headers } = await ask(url + manifest, as("me", "correct horse"));
  assert.ok(Object.keys(headers).every((name) => !name.startsWith("x-registry-cache-")));
  const issued = await ask(`${url}/token`, as("me", "correct horse"));
  const { token } = JSON.parse(issued.body.toString()) as { token: string };
  assert.deepEqual(await statusesOf(manifest, { headers: { Authorization: `Bearer ${token}` } }), new Set([200]));
  const form = "grant_type=password&username=me&password=correct+horse";
  const posted = await ask(`${url}/token`, {
    method: "POST",
    headers: { "Content-Length": String(form.length) },
    body: form,
  });
  assert.equal(posted.status, 200);
  await writeUsers(htpasswd, { you: "battery staple" });
  await writeFile(tokenFile, TOKEN.toUpperCase());
  await eventually(async () => (await statusesOf(`/t/${TOKEN.toUpperCase()}${manifest}`)).has(200));
  assert.deepEqual(await statusesOf(`/t/${TOKEN}${manifest}`), new Set([404]));
  await eventually(async () => (await ask(url + manifest, as("you", "battery staple"))).status === 200);
  assert.deepEqual(await statusesOf(manifest, as("me", "correct horse")), new Set([401]));
});
