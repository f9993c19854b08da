import assert from "node:assert/strict";
import { test } from "node:test";
import { failsAs, patient } from "../../test/support/upstreams.ts";
import { TOKEN_LIFETIME_MAX_S, TOKEN_MARGIN_S, TokenCache, type TokenRequest } from "./tokens.ts";
import { UpstreamError } from "./upstream.ts";

const request: TokenRequest = {
  realm: new URL("https://auth.test/token"),
  service: "registry.test",
  scope: "repository:a:pull",
  credentials: undefined,
};

/** A cache over a service that counts: `token-1`, `token-2`, ... */
function counting(expiresInS: number | undefined, clock = { nowMs: 0 }) {
  const asked: TokenRequest[] = [];
  const fetch = async (one: TokenRequest) => {
    asked.push(one);
    return { token: `token-${asked.length}`, expiresInS };
  };
  return { cache: new TokenCache(fetch, () => clock.nowMs), asked, clock };
}

async function tokenOf(cache: TokenCache, one: TokenRequest) {
  return (await cache.get(one, patient())).token;
}

test("a token serves until its margin, and is fetched anew from then on", async () => {
  const { cache, clock } = counting(100);
  assert.deepEqual(await cache.get(request, patient()), { token: "token-1", fresh: true });
  clock.nowMs = (100 - TOKEN_MARGIN_S) * 1000 - 1;
  assert.deepEqual(await cache.get(request, patient()), { token: "token-1", fresh: false });
  clock.nowMs += 1;
  assert.deepEqual(await cache.get(request, patient()), { token: "token-2", fresh: true });
});

test("a token that lives no longer than the margin serves who waited for it, and nobody else", async () => {
  const { cache } = counting(TOKEN_MARGIN_S);
  const both = await Promise.all([tokenOf(cache, request), tokenOf(cache, request)]);
  assert.deepEqual(both, ["token-1", "token-1"]);
  assert.equal(await tokenOf(cache, request), "token-2");
});

test("no token is relied on for longer than a day, whatever it says", async () => {
  const { cache, clock } = counting(1e9);
  await tokenOf(cache, request);
  clock.nowMs = TOKEN_LIFETIME_MAX_S * 1000;
  assert.equal(await tokenOf(cache, request), "token-2");
});

for (const [what, changes] of [
  ["realm", { realm: new URL("https://other.test/token") }],
  ["service", { service: "another" }],
  ["absence of a service", { service: undefined }],
  ["scope", { scope: "repository:b:pull" }],
  ["user", { credentials: { kind: "basic", username: "a", password: "b" } }],
] as const satisfies readonly (readonly [string, Partial<TokenRequest>])[]) {
  test(`a token for another ${what} is another token`, async () => {
    const { cache } = counting(300);
    await tokenOf(cache, request);
    assert.equal(await tokenOf(cache, { ...request, ...changes }), "token-2");
    assert.equal(await tokenOf(cache, request), "token-1");
  });
}

test("a new password is not served with the old one's token", async () => {
  const { cache } = counting(300);
  const as = (password: string) => ({ ...request, credentials: { kind: "basic", username: "a", password } as const });
  assert.notEqual(await tokenOf(cache, as("old")), await tokenOf(cache, as("new")));
});

test("a dropped token is fetched anew, unless another took its place already", async () => {
  const { cache } = counting(300);
  cache.drop(request, await tokenOf(cache, request));
  assert.equal(await tokenOf(cache, request), "token-2");
  cache.drop(request, "token-1");
  assert.equal(await tokenOf(cache, request), "token-2");
});

test("who waits can leave, without taking the token from the others", async () => {
  let issue = (_token: { token: string; expiresInS: number }) => {};
  const cache = new TokenCache(
    () => new Promise((resolve) => (issue = resolve)),
    () => 0,
  );
  const leaver = new AbortController();
  const left = cache.get(request, leaver.signal);
  const stays = cache.get(request, patient());
  leaver.abort();
  await assert.rejects(left, failsAs("aborted"));
  issue({ token: "late", expiresInS: 300 });
  assert.equal((await stays).token, "late");
});

test("a failed fetch fails all who wait for it, and the next one tries again", async () => {
  let time = 0;
  const cache = new TokenCache(
    async () => {
      time += 1;
      if (time === 1) throw new UpstreamError("server-error", "down");
      return { token: "good", expiresInS: 300 };
    },
    () => 0,
  );
  const both = await Promise.allSettled([tokenOf(cache, request), tokenOf(cache, request)]);
  for (const one of both) assert.ok(one.status === "rejected" && failsAs("server-error")(one.reason));
  assert.equal(await tokenOf(cache, request), "good");
});
