import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { coversAll, renewalDelayMs, retryDelayMs } from "./renewal.ts";

const HOUR_MS = 60 * 60_000;

test("a certificate is renewed when two thirds of its life have passed", () => {
  const { cert } = selfSignedCertificate(["a.example"], { validDays: [0, 90] });
  const fromMs = new X509Certificate(cert).validFromDate.getTime();
  assert.equal(renewalDelayMs(cert, fromMs), 60 * 24 * HOUR_MS);
  assert.equal(renewalDelayMs(cert, fromMs + 59 * 24 * HOUR_MS), 24 * HOUR_MS);
  for (const days of [60, 61, 90, 500]) assert.equal(renewalDelayMs(cert, fromMs + days * 24 * HOUR_MS), 0);
});

test("failures are tried again ever later, six hours at most", () => {
  assert.deepEqual([1, 2, 3, 10, 100].map(retryDelayMs), [60_000, 120_000, 240_000, 6 * HOUR_MS, 6 * HOUR_MS]);
});

test("a certificate is good for all of its names, and no others", () => {
  const { cert } = selfSignedCertificate(["a.example", "*.b.example"]);
  assert.ok(coversAll(cert, ["a.example", "x.b.example"]));
  assert.ok(!coversAll(cert, ["a.example", "c.example"]));
});
