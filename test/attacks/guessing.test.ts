import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import type { Config } from "../../src/config/config.ts";
import { testRegistry } from "../support/cache.ts";
import { type Answer, ask, errorCode } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { basic, startWhole } from "../support/whole.ts";

/** Wrong passwords that nobody has to wait after: for a user, and from an address. */
const [FREE_OF_USER, FREE_OF_ADDRESS] = [5, 25];
/** As cheap as bcrypt can be, and as `user add` makes it. */
const [CHEAP, USUAL] = [4, 10];

async function setUp(t: TestContext, workers: number, cost = CHEAP, config: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  upstream.addImage("library/app", "1");
  const htpasswd = join(await tempDir(t), "users");
  await writeFile(htpasswd, `me:${hashSync("correct horse", cost)}\nyou:${hashSync("battery staple", cost)}\n`);
  const access = { anonymous: false, htpasswd, bearer: true };
  return await startWhole(t, [testRegistry(upstream.url)], { workers, access, config });
}

/** Every place where a password is taken. */
const WAYS: Readonly<
  Record<string, (url: string, user: string, password: string, headers?: object) => Promise<Answer>>
> = {
  "at a pull": async (url, user, password, headers = {}) =>
    await ask(`${url}/v2/library/app/manifests/1`, { headers: { ...headers, Authorization: basic(user, password) } }),
  "at the ping": async (url, user, password, headers = {}) =>
    await ask(`${url}/v2/`, { headers: { ...headers, Authorization: basic(user, password) } }),
  "at the statistics": async (url, user, password, headers = {}) =>
    await ask(`${url}/summary`, { headers: { ...headers, Authorization: basic(user, password) } }),
  "for a token": async (url, user, password, headers = {}) =>
    await ask(`${url}/token`, { headers: { ...headers, Authorization: basic(user, password) } }),
  "by a form": async (url, username, password, headers = {}) =>
    await ask(`${url}/token`, {
      method: "POST",
      headers: { ...headers },
      body: new URLSearchParams({ grant_type: "password", username, password }).toString(),
    }),
};

for (const workers of [1, 2]) {
  for (const [way, offer] of Object.entries(WAYS)) {
    test(`attack: password guessing ${way}: after five wrong ones for a user the next has to wait; ${workers} workers`, async (t) => {
      const { url } = await setUp(t, workers);
      for (let time = 0; time < FREE_OF_USER; time += 1)
        assert.equal((await offer(url, "me", `guess ${time}`)).status, 401);
      for (const headers of [
        {},
        { "X-Forwarded-For": "192.0.2.1" },
        { "X-Real-IP": "192.0.2.2", Forwarded: "for=192.0.2.2" },
        { "X-Registry-Cache-Client": "192.0.2.3" },
      ]) {
        const refused = await offer(url, "me", "correct horse", headers);
        assert.deepEqual([refused.status, errorCode(refused)], [429, "TOOMANYREQUESTS"]);
        assert.ok(Number(refused.headers["retry-after"]) > 0);
      }
      // Somebody else behind the same address is not locked out.
      assert.equal((await offer(url, "you", "battery staple")).status, 200);
    });
  }

  test(`attack: password guessing for many users: after 25 wrong ones from an address all wait; ${workers} workers`, async (t) => {
    const { url } = await setUp(t, workers);
    const ways = Object.values(WAYS);
    for (let time = 0; time < FREE_OF_ADDRESS; time += 1) {
      const offer = ways[time % ways.length] ?? assert.fail();
      assert.equal((await offer(url, `user-${time}`, "guess")).status, 401);
    }
    for (const offer of ways) assert.equal((await offer(url, "somebody", "guess")).status, 429);
  });
}

test("attack: password guessing behind a trusted proxy: it is the client's address that counts, and no made-up one before it", async (t) => {
  const { url } = await setUp(t, 1, CHEAP, { trustedProxies: ["127.0.0.1"] });
  const offer = WAYS["at the ping"] ?? assert.fail();
  for (let time = 0; time < FREE_OF_USER; time += 1) {
    const headers = { "X-Forwarded-For": `10.0.0.${time}, 192.0.2.1` };
    assert.equal((await offer(url, "me", `guess ${time}`, headers)).status, 401);
  }
  assert.equal((await offer(url, "me", "guess", { "X-Forwarded-For": "10.0.0.99, 192.0.2.1" })).status, 429);
  assert.equal((await offer(url, "me", "correct horse", { "X-Forwarded-For": "192.0.2.2" })).status, 200);
});

test("attack: password guessing: whoever does not exist costs what a user costs, a hash in the same queue", async (t) => {
  const { url } = await setUp(t, 1, USUAL);
  const offer = WAYS["at the ping"] ?? assert.fail();
  const statuses = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => (await offer(url, `nobody-${index}`, "guess")).status),
  );
  // More at once than are looked at: they would all be told "wrong" at once if nothing was.
  assert.ok(statuses.includes(503), statuses.join(" "));
  assert.ok(
    statuses.every((status) => [401, 503].includes(status)),
    statuses.join(" "),
  );
});

test("attack: password guessing: user and password are compared whole", async (t) => {
  const { url } = await setUp(t, 1);
  const offer = WAYS["at the ping"] ?? assert.fail();
  for (const [user, password] of [
    ["me", "correct horse\0"],
    ["me", `correct horse${"x".repeat(80)}`],
    ["me\0", "correct horse"],
    ["ME", "correct horse"],
    ["me ", "correct horse"],
    ["", ""],
    ["anonymous", ""],
    ["__proto__", "x"],
    ["me:correct horse", ""],
  ] as const) {
    assert.equal((await offer(url, user, password)).status, 401, JSON.stringify([user, password]));
  }
});
