import assert from "node:assert/strict";
import { test } from "node:test";
import { Networks, parseNetwork } from "./networks.ts";
import { ValueError } from "./value-error.ts";

test("addresses belong to the networks that they are in, whatever they are written as", () => {
  const networks = new Networks(["10.0.0.0/8", "192.168.1.7", "fd00::/8", "2001:db8::1"]);
  for (const inside of ["10.1.2.3", "::ffff:10.1.2.3", "192.168.1.7", "fd12::9", "fd12::9%eth0", "2001:db8::1"]) {
    assert.ok(networks.includes(inside), inside);
  }
  for (const outside of [
    "11.0.0.1",
    "192.168.1.8",
    "fe80::1",
    "2001:db8::2",
    "::ffff:11.0.0.1",
    "nonsense",
    undefined,
  ]) {
    assert.ok(!networks.includes(outside), String(outside));
  }
});

for (const [text, hint] of [
  ["10.0.0.1/8", "write 10.0.0.0/8"],
  ["fd00::1/8", "write fd00::/8"],
  ["10.0.0.0/33", "such as 10.0.0.0/8, 192.168.1.7 or fd00::/8"],
  ["10/8", "such as 10.0.0.0/8, 192.168.1.7 or fd00::/8"],
  ["0x0a000001", "such as 10.0.0.0/8, 192.168.1.7 or fd00::/8"],
  ["localhost", "such as 10.0.0.0/8, 192.168.1.7 or fd00::/8"],
] as const) {
  test(`${text} is refused with a hint`, () => {
    assert.throws(
      () => parseNetwork(text),
      (error) => error instanceof ValueError && error.hint === hint,
    );
  });
}
