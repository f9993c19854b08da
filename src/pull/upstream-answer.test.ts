import assert from "node:assert/strict";
import { test } from "node:test";
import { UpstreamError } from "../upstream/upstream.ts";
import { answerFor } from "./upstream-answer.ts";

test("whose credentials were refused is told: the cache's own, or the client's", () => {
  const refused = { status: 401, isOfCredentials: true };
  const own = answerFor(new UpstreamError("unauthorized", "401", refused), "manifest");
  const clients = answerFor(new UpstreamError("unauthorized", "401", { ...refused, isPersonal: true }), "manifest");
  assert.deepEqual([own.status, clients.status], [403, 403]);
  assert.match(own.message, /^this cache's credentials were refused/);
  assert.match(clients.message, /^upstream denies it/);
});
