import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { FakeUpstream } from "../fake-upstream.ts";
import { BLOB, REPOSITORY, basic, get, start, anonymousToken } from "./fixture.ts";

suite("the fake token service", () => {
  test("issues tokens for the scopes that were asked, until they expire", async () => {
    await using fake = await start({ auth: "bearer" });
    const refused = await get(fake.url + BLOB);
    assert.equal(refused.status, 401);
    const scope = `repository:${REPOSITORY}:pull`;
    const challenge = `Bearer realm="${fake.tokenUrl}",service="fake-registry",scope="${scope}"`;
    assert.equal(refused.headers["www-authenticate"], challenge);
    const authorization = `Bearer ${await anonymousToken(fake)}`;
    assert.equal((await get(fake.url + BLOB, { authorization })).status, 200);
    const elsewhere = `Bearer ${await anonymousToken(fake, "other/thing")}`;
    assert.equal((await get(fake.url + BLOB, { authorization: elsewhere })).status, 401);
    fake.expireTokens();
    const stale = await get(fake.url + BLOB, { authorization });
    assert.match(String(stale.headers["www-authenticate"]), /error="invalid_token"/);
    assert.equal((await get(`${fake.url}/v2/`)).status, 401);
  });

  test("can answer stale tokens without a challenge", async () => {
    await using fake = await start({ auth: "bearer", staleToken: 403 });
    const stale = await get(fake.url + BLOB, { authorization: "Bearer old" });
    assert.deepEqual([stale.status, stale.headers["www-authenticate"]], [403, undefined]);
  });

  test("refuses wrong credentials, other services, missing scopes and more than pull", async () => {
    await using fake = await start({ auth: "bearer", users: { me: "s:e" }, token: { scopeNeeded: true } });
    const ask = async (query: string, headers = {}) => (await get(`${fake.tokenUrl}?${query}`, headers)).status;
    const scope = `scope=repository:${REPOSITORY}:pull`;
    assert.equal(await ask(`service=fake-registry&${scope}`, { authorization: basic("me", "s:e") }), 200);
    assert.equal(await ask(`service=fake-registry&${scope}`, { authorization: basic("me", "wrong") }), 401);
    assert.equal(await ask(`service=other&${scope}`), 400);
    assert.equal(await ask("service=fake-registry"), 401);
    assert.equal(await ask(`service=fake-registry&${scope},push`), 403);
    assert.equal((await get(fake.tokenUrl, {}, "POST")).status, 404);
  });

  test("hides private and unknown repositories where it is told to", async () => {
    const hide = { auth: "bearer", users: { me: "pw" }, privateRepositories: [REPOSITORY] } as const;
    const ask = (fake: FakeUpstream, name: string, headers = {}) =>
      get(`${fake.tokenUrl}?service=fake-registry&scope=repository:${name}:pull`, headers);
    await using atToken = await start({ ...hide, hidden: { at: "token", status: 403 } });
    assert.equal((await ask(atToken, REPOSITORY)).status, 403);
    assert.equal((await ask(atToken, "nobody/has")).status, 403);
    const mine = await ask(atToken, REPOSITORY, { authorization: basic("me", "pw") });
    const { token } = JSON.parse(mine.bytes.toString()) as { token: string };
    assert.equal((await get(atToken.url + BLOB, { authorization: `Bearer ${token}` })).status, 200);

    await using atResource = await start({ ...hide, hidden: { at: "resource", status: 401 } });
    for (const name of [REPOSITORY, "nobody/has"]) {
      const authorization = `Bearer ${await anonymousToken(atResource, name)}`;
      assert.equal((await get(`${atResource.url}/v2/${name}/manifests/1`, { authorization })).status, 401);
    }
    await using open = await start({ auth: "bearer" });
    const authorization = `Bearer ${await anonymousToken(open, "nobody/has")}`;
    assert.equal((await get(`${open.url}/v2/nobody/has/manifests/1`, { authorization })).status, 404);
  });

  test("speaks with other fields, paths, hosts, challenges and ready tokens", async () => {
    await using fake = await start({
      auth: { challenge: ({ realm }) => [`Bearer realm="${realm}",scope="*"`, 'Basic realm="x"'] },
      users: { me: "pw" },
      bearerTokens: ["ready"],
      token: { field: "access_token", expiresInS: 300, host: "registry", path: "/v2/token", body: { extra: 1 } },
    });
    assert.equal(fake.tokenUrl, `${fake.url}/v2/token`);
    const refused = await get(fake.url + BLOB);
    assert.equal([refused.headers["www-authenticate"]].flat().length, 2);
    const issued = JSON.parse((await get(`${fake.tokenUrl}?scope=*`)).bytes.toString()) as Record<string, unknown>;
    assert.deepEqual(Object.keys(issued).toSorted(), ["access_token", "expires_in", "extra"]);
    for (const authorization of [`Bearer ${String(issued["access_token"])}`, "Bearer ready", basic("me", "pw")]) {
      assert.equal((await get(fake.url + BLOB, { authorization })).status, 200);
    }
    assert.equal((await get(fake.url + BLOB, { authorization: basic("me", "no") })).status, 401);
    assert.equal(fake.count({ role: "token" }), 1);
  });

  test("lets nobody in anonymously where told so, and knows plain Basic", async () => {
    await using closed = await start({ auth: "bearer", anonymous: false });
    assert.equal((await get(`${closed.tokenUrl}?service=fake-registry`)).status, 401);
    await using fake = await start({ auth: "basic", users: { me: "pw" } });
    assert.match(String((await get(fake.url + BLOB)).headers["www-authenticate"]), /^Basic /);
    assert.equal((await get(fake.url + BLOB, { authorization: basic("me", "pw") })).status, 200);
  });
});
