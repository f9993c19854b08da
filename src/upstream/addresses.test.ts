import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { isPublicAddress, literalAddress } from "./addresses.ts";

const PRIVATE = [
  ["loopback", "127.0.0.1"],
  ["all of loopback", "127.255.3.4"],
  ["unspecified", "0.0.0.0"],
  ["RFC 1918", "10.1.2.3"],
  ["RFC 1918", "172.31.0.1"],
  ["RFC 1918", "192.168.1.1"],
  ["the cloud's metadata service", "169.254.169.254"],
  ["carrier-grade NAT", "100.64.0.1"],
  ["multicast", "224.0.0.1"],
  ["broadcast", "255.255.255.255"],
  ["benchmarking", "198.18.0.1"],
  ["IPv6 loopback", "::1"],
  ["IPv6 unspecified", "::"],
  ["IPv6 link-local", "fe80::1"],
  ["IPv6 link-local with a zone", "fe80::1%eth0"],
  ["IPv6 unique local", "fd00::1"],
  ["IPv4 loopback in IPv6", "::ffff:127.0.0.1"],
  ["IPv4 loopback in IPv6, in hexadecimal", "::ffff:7f00:1"],
  ["a private address behind NAT64", "64:ff9b::10.0.0.1"],
  ["6to4", "2002:7f00:1::"],
] as const;

for (const [what, address] of PRIVATE) {
  test(`${what} (${address}) is not public`, () => assert.equal(isPublicAddress(address), false));
}

for (const address of ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]) {
  test(`${address} is public`, () => assert.equal(isPublicAddress(address), true));
}

test("what is no address is not public", () => {
  prove(
    fc.property(
      fc.string().filter((text) => !/^[\da-fx.:]+$/i.test(text)),
      (text) => !isPublicAddress(text),
    ),
  );
});

test("whatever way a URL writes a loopback address, it is found to be one", () => {
  const forms = ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1"];
  for (const form of forms) {
    const address = literalAddress(new URL(`http://${form}/`).hostname);
    assert.ok(address !== undefined, form);
    assert.equal(isPublicAddress(address), false, form);
  }
});

test("every private network's every address is private", () => {
  const octet = fc.integer({ min: 0, max: 255 });
  prove(
    fc.property(fc.constantFrom("10", "127", "0"), octet, octet, octet, (first, a, b, c) => {
      assert.equal(isPublicAddress(`${first}.${a}.${b}.${c}`), false);
    }),
  );
});

test("a host name is no literal address", () => {
  assert.equal(literalAddress("localhost"), undefined);
  assert.equal(literalAddress("ghcr.io"), undefined);
});
