import assert from "node:assert/strict";
import { test } from "node:test";
import { failsAs } from "../../test/support/upstreams.ts";
import { matchesHost, trustedRealm } from "./trust.ts";

const policy = {
  upstream: new URL("https://registry.example"),
  realms: ["auth.example", "*.pkg.example", "one.example:8443"],
};

function trusted(realm: string, upstream = policy.upstream) {
  return trustedRealm(realm, upstream, { ...policy, upstream }).href;
}

test("the upstream's own host is trusted, on any port and by a relative realm too", () => {
  assert.equal(trusted("https://registry.example/token"), "https://registry.example/token");
  assert.equal(trusted("https://registry.example:5001/auth"), "https://registry.example:5001/auth");
  assert.equal(trusted("/service/token"), "https://registry.example/service/token");
});

test("listed hosts are trusted, by name, by wildcard, by port", () => {
  assert.equal(trusted("https://auth.example/token"), "https://auth.example/token");
  assert.equal(trusted("https://eu-docker.pkg.example/v2/token"), "https://eu-docker.pkg.example/v2/token");
  assert.equal(trusted("https://one.example:8443/t"), "https://one.example:8443/t");
});

test("everybody else is not, however alike they look", () => {
  for (const realm of [
    "https://evil.example/token",
    "https://auth.example.evil.example/token",
    "https://evilauth.example/token",
    "https://pkg.example/token",
    "https://xpkg.example/token",
    "https://one.example/t",
    "https://sub.registry.example/token",
    "https://registry.example.:443/token",
    "//evil.example/token",
  ]) {
    assert.throws(() => trusted(realm), failsAs("untrusted"), realm);
  }
});

test("no realm by http where the upstream is https; both where it is http", () => {
  assert.throws(() => trusted("http://registry.example/token"), failsAs("untrusted"));
  assert.throws(() => trusted("http://auth.example/token"), failsAs("untrusted"));
  const plain = new URL("http://registry.example:5000");
  assert.equal(trusted("http://registry.example:5001/auth", plain), "http://registry.example:5001/auth");
  assert.equal(trusted("https://registry.example/auth", plain), "https://registry.example/auth");
});

test("no credentials in a realm, no schemes off the web, no nonsense", () => {
  assert.throws(() => trusted("https://user:pw@auth.example/token"), failsAs("untrusted"));
  assert.throws(() => trusted("file:///etc/passwd"), failsAs("untrusted"));
  assert.throws(() => trusted("https://:::"), failsAs("protocol"));
});

test("a wildcard stands for one label or more and for nothing less", () => {
  assert.equal(matchesHost("*.a.example", new URL("https://x.y.a.example")), true);
  assert.equal(matchesHost("*.a.example", new URL("https://a.example")), false);
  assert.equal(matchesHost("*.", new URL("https://a.example")), false);
  assert.equal(matchesHost("A.Example", new URL("https://a.example")), true);
});
