import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { Proxies } from "./proxies.ts";

function from(remoteAddress: string, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

for (const [remote, header, client] of [
  ["10.0.0.1", undefined, "10.0.0.1"],
  ["10.0.0.1", "192.0.2.1", "192.0.2.1"],
  ["10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"],
  ["10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"],
  ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
  ["10.0.0.1", "192.0.2.1:4711", "192.0.2.1"],
  ["10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"],
  ["10.0.0.1", "unknown", "10.0.0.1"],
  ["10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"],
  ["192.0.2.9", "6.6.6.6", "192.0.2.9"],
] as const) {
  test(`from ${remote}, forwarded for ${header}: the client is ${client}`, () => {
    const proxies = new Proxies(["10.0.0.0/8"]);
    assert.equal(proxies.clientOf(from(remote, header === undefined ? {} : { "x-forwarded-for": header })), client);
  });
}

test("nobody is believed without being trusted", () => {
  const headers = { "x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "https" };
  assert.equal(new Proxies([]).clientOf(from("192.0.2.9", headers)), "192.0.2.9");
  assert.equal(new Proxies([]).isSecure(from("192.0.2.9", headers)), false);
  assert.equal(new Proxies(["192.0.2.0/24"]).isSecure(from("192.0.2.9", headers)), true);
});

test("an address that says what proxies say, and is not trusted, is told of once, and not more than so many", () => {
  const told: string[] = [];
  const proxies = new Proxies(["10.0.0.0/8"], (address) => void told.push(address));
  for (const address of ["10.0.0.1", "127.0.0.1", "127.0.0.1", "192.0.2.1"]) {
    proxies.clientOf(from(address, { "x-forwarded-proto": "https" }));
  }
  proxies.clientOf(from("192.0.2.2", { "x-forwarded-for": "192.0.2.3" }));
  assert.deepEqual(told, ["127.0.0.1", "192.0.2.1"]);
  for (let host = 0; host < 200; host += 1) {
    proxies.clientOf(from(`198.51.100.${host}`, { "x-forwarded-proto": "https" }));
  }
  assert.equal(told.length, 100);
});
