/** What one repository's failures mean for the others of its upstream, and how long a question may take. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { failsAs, patient } from "../../test/support/upstreams.ts";
import { BREAKER_FAILURES_MAX } from "./breaker.ts";
import { Gate } from "./gate.ts";
import { UpstreamError } from "./upstream.ts";

function startGate() {
  const clock = { nowMs: 0 };
  const closing = new AbortController().signal;
  const gate = new Gate({ host: "h", questionsMax: 4, transfersMax: 2, nowMs: () => clock.nowMs, closing });
  const answer = (repository: string) => gate.question(patient(), repository, async () => "answer");
  const fail = (repository: string, error: UpstreamError) =>
    assert.rejects(gate.question(patient(), repository, () => Promise.reject(error)));
  return { gate, clock, answer, fail };
}

const broken = new UpstreamError("server-error", "500", { status: 500 });

test("a repository that fails again and again is refused alone, and asked again later", async () => {
  const { gate, clock, answer, fail } = startGate();
  for (let time = 0; time < BREAKER_FAILURES_MAX; time += 1) await fail("a", broken);
  await assert.rejects(answer("a"), failsAs("unavailable"));
  assert.equal(gate.available, true);
  assert.equal(await answer("b"), "answer");
  clock.nowMs += 60_000;
  assert.equal(await answer("a"), "answer");
});

test("several repositories that fail without an answer between them are an upstream that fails", async () => {
  const { gate, answer, fail } = startGate();
  for (const repository of ["a", "a", "b", "b", "c"]) await fail(repository, broken);
  assert.equal(gate.available, false);
  await assert.rejects(answer("d"), failsAs("unavailable"));
});

test("answers between the failures show that it is there, refusals too", async () => {
  const { gate, answer, fail } = startGate();
  for (const repository of ["a", "b", "c", "d", "e", "f"]) {
    await fail(repository, broken);
    if (repository === "b") await answer("good");
    if (repository === "e") await fail("none", new UpstreamError("not-found", "404", { status: 404 }));
  }
  assert.equal(gate.available, true);
});

test("a repository that fails alone cannot decide for the upstream when that is tried again", async () => {
  const { gate, clock, answer, fail } = startGate();
  for (const repository of ["a", "a", "b", "b", "c"]) await fail(repository, broken);
  clock.nowMs += 60_000;
  await fail("a", broken);
  assert.equal(await answer("d"), "answer", "the next question is the probe");
  assert.equal(gate.available, true);
});

test("a content network's 429 is told, and pauses nobody else; the registry's own pauses all", async () => {
  const { gate, answer, fail } = startGate();
  const limited = { status: 429, retryAfterS: 3600 };
  await fail("a", new UpstreamError("rate-limited", "429", { ...limited, isElsewhere: true }));
  assert.equal(await answer("a"), "answer");
  await fail("a", new UpstreamError("rate-limited", "429", limited));
  await assert.rejects(answer("b"), failsAs("rate-limited"));
  assert.equal(gate.available, false);
});

test("a question that drips ends with its limit and gives its slot back", async () => {
  const { gate, answer } = startGate();
  const dripping = Array.from({ length: 4 }, () =>
    gate.question(
      patient(),
      "a",
      async (signal) => {
        await once(signal, "abort");
        throw signal.reason;
      },
      10,
    ),
  );
  for (const one of dripping) await assert.rejects(one, failsAs("timeout"));
  assert.equal(await answer("b"), "answer");
});

test("parts have places of their own, and do not wait for one", async () => {
  const { gate } = startGate();
  const start = (lane: "whole" | "part") => gate.transfer(patient(), "a", lane, async () => undefined);
  const part = await start("part");
  await assert.rejects(start("part"), failsAs("overloaded"));
  const whole = await start("whole");
  (await start("whole")).release();
  whole.release();
  part.release();
  (await start("part")).release();
});
