import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { ANONYMOUS } from "./principal.ts";
import { TOKEN_TOLD_S, Tokens } from "./tokens.ts";

const NOW_MS = 1_800_000_000_000;
const ME = { name: "me", method: "basic" } as const;

test("a token is whoever it was issued to, until it expires", () => {
  const tokens = new Tokens(randomBytes(32));
  const token = tokens.issue(ME, NOW_MS);
  assert.deepEqual(tokens.principal(token, NOW_MS), { name: "me", method: "token" });
  assert.deepEqual(tokens.principal(token, NOW_MS + TOKEN_TOLD_S * 1000), { name: "me", method: "token" });
  assert.equal(tokens.principal(token, NOW_MS + (TOKEN_TOLD_S + 31) * 1000), undefined);
  assert.deepEqual(tokens.principal(tokens.issue(ANONYMOUS, NOW_MS), NOW_MS), ANONYMOUS);
});

test("another key's token is none, nor is anything that was changed", () => {
  const tokens = new Tokens(randomBytes(32));
  const token = tokens.issue(ME, NOW_MS);
  assert.equal(new Tokens(randomBytes(32)).principal(token, NOW_MS), undefined);
  for (const other of ["", ".", "a.b", `${token}.`, `.${token}`, token.slice(1), `${token}${"x".repeat(3_000)}`]) {
    assert.equal(tokens.principal(other, NOW_MS), undefined);
  }
  const change = fc.record({ at: fc.nat(token.length - 1), by: fc.integer({ min: 0x2d, max: 0x7a }) });
  prove(
    fc.property(change, ({ at, by }) => {
      const changed = token.slice(0, at) + String.fromCharCode(by) + token.slice(at + 1);
      const found = tokens.principal(changed, NOW_MS);
      if (changed !== token) assert.equal(found, undefined);
    }),
  );
});
