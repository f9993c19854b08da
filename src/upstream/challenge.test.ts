import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import { CHALLENGES_MAX, type Challenge, chooseChallenge, parseChallenges } from "./challenge.ts";

function parsed(...headers: string[]) {
  return parseChallenges(headers).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

test("one Bearer challenge, as Docker Hub sends it", () => {
  const header = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"';
  assert.deepEqual(parsed(header), [
    ["bearer", { realm: "https://auth.docker.io/token", service: "registry.docker.io", scope: "repository:a/b:pull" }],
  ]);
});

test("unquoted values, as gcr.io sends them", () => {
  assert.deepEqual(parsed("Bearer realm=https://gcr.io/v2/token?a=b,service=gcr.io"), [
    ["bearer", { realm: "https://gcr.io/v2/token?a=b", service: "gcr.io" }],
  ]);
});

test("two challenges in one header", () => {
  assert.deepEqual(parsed('Bearer realm="https://a/t",scope="*", Basic realm="Gitea"'), [
    ["bearer", { realm: "https://a/t", scope: "*" }],
    ["basic", { realm: "Gitea" }],
  ]);
});

test("two challenges in two headers", () => {
  assert.deepEqual(parsed('Basic realm="x"', 'Bearer realm="y"'), [
    ["basic", { realm: "x" }],
    ["bearer", { realm: "y" }],
  ]);
});

test("a comma inside quotes separates nothing", () => {
  assert.deepEqual(parsed('Bearer realm="https://a/t",scope="repository:a:pull,push"'), [
    ["bearer", { realm: "https://a/t", scope: "repository:a:pull,push" }],
  ]);
});

test("escapes, spaces around the equals sign, odd case, stray commas", () => {
  assert.deepEqual(parsed(',, BEARER Realm = "a\\"b" , , Service\t=\tc'), [["bearer", { realm: 'a"b', service: "c" }]]);
});

test("a parameter that stands there twice keeps its first value", () => {
  assert.deepEqual(parsed('Bearer realm="a",realm="b"'), [["bearer", { realm: "a" }]]);
});

test("an unfinished quote ends with the header", () => {
  assert.deepEqual(parsed('Bearer realm="https://a/t'), [["bearer", { realm: "https://a/t" }]]);
});

test("a token68 credential does no harm to the challenge after it", () => {
  assert.deepEqual(parsed('Negotiate YIIab==, Bearer realm="a"').at(-1), ["bearer", { realm: "a" }]);
});

test("no header at all has no challenge", () => {
  assert.deepEqual(parsed(), []);
  assert.deepEqual(parsed("", " , "), []);
});

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
const value = fc.string({ unit: fc.constantFrom(...Array.from("abc/:.=,? \\\"'*")) });
const challenge = fc.record({
  scheme: word,
  parameters: fc.uniqueArray(fc.tuple(word, value), { selector: ([key]) => key, minLength: 1 }),
});

test("what is written by the book is read as it was meant", () => {
  const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  prove(
    fc.property(fc.array(challenge, { maxLength: CHALLENGES_MAX }), (challenges) => {
      const write = (one: (typeof challenges)[number]) =>
        `${one.scheme} ${one.parameters.map(([key, text]) => `${key}=${quoted(text)}`).join(", ")}`;
      const meant = challenges.map((one) => [one.scheme, Object.fromEntries(one.parameters)]);
      assert.deepEqual(parsed(challenges.map(write).join(", ")), meant);
      assert.deepEqual(parsed(...challenges.map(write)), meant);
    }),
  );
});

test("no text whatever makes it throw, hang or exceed its limits", () => {
  const noise = fc.string({ unit: fc.constantFrom(...Array.from('ab =",\\\t;:/é')), maxLength: 300 });
  const almost = nearly([
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
    'Basic realm="a \\"b\\"", Bearer realm=https://gcr.io/v2/token?a=b,error=invalid_token, Negotiate abc==',
  ]);
  prove(
    fc.property(fc.array(fc.oneof(noise, almost), { maxLength: 5 }), fc.boolean(), (headers, hasCredentials) => {
      const challenges = parseChallenges(headers);
      assert.ok(challenges.length <= CHALLENGES_MAX);
      const demand = chooseChallenge(challenges, hasCredentials);
      assert.ok(demand?.kind !== "bearer" || demand.realm !== "");
    }),
  );
});

test("a very long header is cut, not read to its end", () => {
  const header = `Bearer realm="a"${',x="y"'.repeat(100_000)}`;
  assert.equal(parseChallenges([header])[0]?.parameters.get("realm"), "a");
});

function challengesOf(...headers: string[]): Challenge[] {
  return parseChallenges(headers);
}

test("Bearer is chosen before Basic, whatever the order and whoever asks", () => {
  for (const headers of [
    ['Basic realm="x"', 'Bearer realm="https://a/t"'],
    ['Bearer realm="https://a/t"', 'Basic realm="x"'],
  ]) {
    assert.equal(chooseChallenge(challengesOf(...headers), true)?.kind, "bearer");
    assert.equal(chooseChallenge(challengesOf(...headers), false)?.kind, "bearer");
  }
});

test("Basic is chosen with credentials only", () => {
  assert.deepEqual(chooseChallenge(challengesOf('Basic realm="x"'), true), { kind: "basic" });
  assert.equal(chooseChallenge(challengesOf('Basic realm="x"'), false), undefined);
});

test("a Bearer challenge without a realm, and schemes that nobody knows, cannot be met", () => {
  assert.equal(chooseChallenge(challengesOf('Bearer service="x"', 'Digest realm="y"'), true), undefined);
});
