import assert from "node:assert/strict";
import { test } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { eventually } from "../../test/support/open-files.ts";
import type { Certificate } from "../config/config.ts";
import { Renewing } from "./renewing.ts";

/** Runs until the log has said something, and gives all that came of it. */
async function runUntil(
  said: string,
  issue: () => Promise<Certificate>,
  { current, keep = async () => undefined }: { current?: string; keep?: () => Promise<void> } = {},
) {
  const life = new AbortController();
  const used: Certificate[] = [];
  const lines: string[] = [];
  const say = (about: object, text: string) => void lines.push(`${text} ${JSON.stringify(about)}`);
  let issued = 0;
  const renewing = new Renewing(
    {
      names: ["a.example"],
      directory: "https://ca.example/dir",
      issue: async () => {
        issued += 1;
        return await issue();
      },
      keep,
      use: (certificate) => void used.push(certificate),
      log: { info: say, error: say } as never,
      signal: life.signal,
    },
    current,
  );
  const running = renewing.run();
  await eventually(async () => lines.some((line) => line.includes(said)));
  life.abort();
  await running;
  return { used, lines, issued };
}

test("a certificate is asked for where there is none, and used", async () => {
  const made = selfSignedCertificate(["a.example"], { validDays: [0, 90] });
  const { used, issued, lines } = await runUntil("a new certificate is in use", async () => made);
  assert.deepEqual([used, issued], [[made], 1]);
  assert.match(lines.join(), /"renewInDays":60/);
});

test("one whose time has come is renewed; the one before stays in use when that fails", async () => {
  const { cert } = selfSignedCertificate(["a.example"], { validDays: [-70, 20] });
  const fail = async () => await Promise.reject(new Error("no DNS for a.example"));
  const { used, lines, issued } = await runUntil("no certificate", fail, { current: cert });
  assert.deepEqual([used, issued], [[], 1]);
  assert.match(lines.join(), /the one before stays in use .*"retryInS":60.*no DNS for a\.example/);
  assert.match((await runUntil("no certificate", fail)).lines.join(), /clients are shown one that they do not trust/);
});

test("on a full disk it is used all the same", async () => {
  const keep = async () => await Promise.reject(new Error("ENOSPC: no space left on device"));
  const made = selfSignedCertificate(["a.example"], { validDays: [0, 90] });
  const { used, lines } = await runUntil("cannot be kept", async () => made, { keep });
  assert.deepEqual(used, [made]);
  assert.match(lines.join(), /ENOSPC/);
});

test("an authority is not asked without end where what it gives is about to expire, as with a wrong clock", async () => {
  const made = selfSignedCertificate(["a.example"], { validDays: [-90, -1] });
  const { used, issued } = await runUntil("clock", async () => made);
  assert.deepEqual([used, issued], [[made], 1]);
});

test("what TLS cannot use is not used", async () => {
  const { cert } = selfSignedCertificate(["a.example"]);
  const { key } = selfSignedCertificate(["a.example"]);
  const { used, issued } = await runUntil("no certificate", async () => ({ cert, key }));
  assert.deepEqual([used, issued], [[], 1]);
});
