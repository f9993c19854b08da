import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { REDIRECTS_MAX, decideRedirect, isOwnUpstream, isRedirect } from "./redirects.ts";

const policy = { upstream: new URL("https://registry.example"), upstreamIsOwn: false, allowPrivateAddresses: false };
const from = new URL("https://registry.example/v2/a/blobs/sha256:00");

function decide(location: string | undefined, hops = 0, changes: Partial<typeof policy> = {}) {
  const verdict = decideRedirect(from, location, hops, { ...policy, ...changes });
  return verdict.kind === "follow" ? verdict.url.href : verdict.because;
}

test("301, 302, 303, 307 and 308 are redirects, 300, 304 and 305 are not", () => {
  assert.deepEqual([300, 301, 302, 303, 304, 305, 307, 308].filter(isRedirect), [301, 302, 303, 307, 308]);
});

test("absolute and relative locations are followed, with their query and without their fragment", () => {
  assert.equal(decide("https://cdn.example/x?sig=1#y"), "https://cdn.example/x?sig=1");
  assert.equal(decide("/other"), "https://registry.example/other");
});

test("a redirect to nowhere is a protocol error", () => {
  assert.equal(decide(undefined), "protocol");
  assert.equal(decide("http://"), "protocol");
});

test("a chain of redirects ends", () => {
  assert.equal(decide("/again", REDIRECTS_MAX - 1), "https://registry.example/again");
  assert.equal(decide("/again", REDIRECTS_MAX), "protocol");
});

test("from https nobody leads us to http, unless the upstream itself is http", () => {
  assert.equal(decide("http://cdn.example/x"), "untrusted");
  assert.equal(
    decide("http://cdn.example/x", 0, { upstream: new URL("http://registry.example") }),
    "http://cdn.example/x",
  );
});

test("private addresses are refused, in whatever form", () => {
  for (const host of ["127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]", "0x7f.1", "[::ffff:10.0.0.1]"]) {
    assert.equal(decide(`https://${host}/latest/meta-data`), "untrusted", host);
  }
});

test("private addresses are followed where the registry is configured so", () => {
  assert.equal(decide("https://10.0.0.1/x", 0, { allowPrivateAddresses: true }), "https://10.0.0.1/x");
});

test("a private upstream that the user named may lead to itself and to no other port", () => {
  const own = { upstream: new URL("https://10.0.0.1:5000"), upstreamIsOwn: true };
  assert.equal(decide("https://10.0.0.1:5000/x", 0, own), "https://10.0.0.1:5000/x");
  assert.equal(decide("https://10.0.0.1:5001/x", 0, own), "untrusted");
  assert.equal(decide("https://10.0.0.1:5000/x", 0, { ...own, upstreamIsOwn: false }), "untrusted");
});

test("an own IPv6 upstream is known with and without brackets", () => {
  const own = { ...policy, upstream: new URL("https://[fd00::1]"), upstreamIsOwn: true };
  assert.equal(isOwnUpstream("fd00::1", "443", own), true);
  assert.equal(isOwnUpstream("[fd00::1]", "443", own), true);
});

test("no other schemes, no credentials in the URL", () => {
  assert.equal(decide("ftp://cdn.example/x"), "untrusted");
  assert.equal(decide("file:///etc/passwd"), "untrusted");
  assert.equal(decide("https://user:pw@cdn.example/x"), "untrusted");
});

test("whatever is followed is https to a host that is no private address", () => {
  prove(
    fc.property(
      fc.oneof(
        fc.webUrl({ withQueryParameters: true }),
        fc.string(),
        fc.ipV4().map((ip) => `//${ip}/`),
      ),
      (location) => {
        const verdict = decideRedirect(from, location, 0, policy);
        if (verdict.kind === "follow") assert.equal(verdict.url.protocol, "https:");
        else assert.ok(verdict.reason.length > 0);
      },
    ),
  );
});
