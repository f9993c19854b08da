import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import * as fc from "fast-check";
import { seededBytes } from "../../test/support/bytes.ts";
import { prove } from "../../test/support/property.ts";
import { lookupTest, name, patient, registryConfig, startBench } from "../../test/support/upstreams.ts";
import { Bandwidth } from "./bandwidth.ts";
import { TransferBody } from "./bodies.ts";
import { createUpstreams } from "./create.ts";

const app = name("team/app");
const KIB = 1024;

/** A bandwidth on a clock that the test moves. */
function still(t: TestContext, bytesPerSecond: number) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const clock = { nowMs: 0 };
  const bandwidth = new Bandwidth(bytesPerSecond, () => clock.nowMs);
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      clock.nowMs += 10;
      t.mock.timers.tick(10);
    }
  };
  return { bandwidth, pass, clock };
}

test("after a first burst no more goes through than the cap, and all of that", (t) => {
  const { bandwidth, pass } = still(t, 100 * KIB);
  let bytes = 0;
  const piece = 10 * KIB;
  const next = () => {
    bytes += piece;
    while (bandwidth.take({ bytes: piece, go: next })) bytes += piece;
  };
  next();
  bytes -= piece;
  const burst = bytes;
  assert.ok(burst >= 64 * KIB && burst <= 74 * KIB, String(burst));
  pass(10_000);
  assert.ok(Math.abs(bytes - burst - 1_000 * KIB) <= 2 * piece, String(bytes - burst));
});

test("transfers take turns, however many there are and however much each of them has", (t) => {
  const { bandwidth, pass } = still(t, 64 * KIB);
  while (bandwidth.take({ bytes: KIB, go: () => undefined }));
  const got = [0, 0, 0, 0];
  got.forEach((_, one) => {
    const next = () => {
      got[one] = (got[one] ?? 0) + 1;
      while (bandwidth.take({ bytes: 4 * KIB, go: next })) got[one] = (got[one] ?? 0) + 1;
    };
    if (bandwidth.take({ bytes: 4 * KIB, go: next })) next();
  });
  pass(10_000);
  assert.ok(Math.max(...got) - Math.min(...got) <= 1, got.join(" "));
  assert.ok(Math.min(...got) >= 39, got.join(" "));
});

test("a piece that is larger than all that may come at once goes on, and is paid for afterwards", (t) => {
  const { bandwidth, pass } = still(t, 16 * KIB);
  assert.equal(bandwidth.take({ bytes: 96 * KIB, go: assert.fail }), true);
  let went = false;
  bandwidth.take({ bytes: 1, go: () => (went = true) });
  pass(1_990);
  assert.equal(went, false);
  pass(50);
  assert.equal(went, true);
});

test("who leaves takes nobody's turn, and leaves no timer behind", (t) => {
  const { bandwidth, pass } = still(t, 16 * KIB);
  bandwidth.take({ bytes: 80 * KIB, go: assert.fail });
  const leaver = { bytes: 1_000_000, go: () => assert.fail("it had left") };
  let went = 0;
  bandwidth.take(leaver);
  bandwidth.take({ bytes: 1, go: () => (went += 1) });
  bandwidth.leave(leaver);
  pass(2_000);
  assert.equal(went, 1);
  bandwidth.leave(leaver);
});

test("no order of pieces, times and leavers lets more through than the cap allows", (t) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 100_000 }) }),
      fc.record({ passMs: fc.integer({ min: 1, max: 2_000 }) }),
      fc.constant({ leave: true as const }),
    ),
    { maxLength: 40 },
  );
  t.mock.timers.enable({ apis: ["setTimeout"] });
  prove(
    fc.property(fc.integer({ min: 16 * KIB, max: 1_000_000 }), steps, (bytesPerSecond, all) => {
      const clock = { nowMs: 0 };
      const bandwidth = new Bandwidth(bytesPerSecond, () => clock.nowMs);
      const burst = Math.max(64 * KIB, bytesPerSecond / 10);
      let through = 0;
      const waiting: Parameters<Bandwidth["take"]>[0][] = [];
      for (const step of all) {
        if ("take" in step) {
          const one = {
            bytes: step.take,
            go: () => {
              through += step.take;
              waiting.splice(waiting.indexOf(one), 1);
            },
          };
          if (bandwidth.take(one)) through += step.take;
          else waiting.push(one);
        } else if ("passMs" in step) {
          clock.nowMs += step.passMs;
          t.mock.timers.tick(step.passMs);
        } else {
          const one = waiting.shift();
          if (one !== undefined) bandwidth.leave(one);
        }
        // The last piece may leave a debt.
        assert.ok(through <= burst + (clock.nowMs / 1000) * bytesPerSecond + 100_000);
      }
      for (const one of waiting.splice(0)) bandwidth.leave(one);
    }),
  );
});

test("a transfer comes whole and right through a cap, also its last piece, and the source is read no faster", async (t) => {
  const { fake, upstream } = await startBench(t, { registry: { bytesPerSecond: 2_000_000 } });
  const bytes = seededBytes(700_001, "capped");
  const digest = fake.addBlob(app, bytes);
  const all = await Promise.all(
    [1, 2].map(async () => {
      const { body, wasHeldBack } = await upstream.openBlob(app, digest, undefined, patient());
      const got = await buffer(body);
      return [got.equals(bytes), wasHeldBack?.()];
    }),
  );
  assert.deepEqual(all, [
    [true, true],
    [true, true],
  ]);
});

test("with a cap that holds it back for longer than a body may be idle, a transfer is not given up", async (t) => {
  const timeouts = { connectMs: 5_000, headersMs: 5_000, idleMs: 300, askBudgetMs: 1_000 };
  const { fake, upstream } = await startBench(t, { registry: { bytesPerSecond: 150_000, timeouts } });
  // A piece is paid for with half a second.
  const bytes = seededBytes(500_000, "patient");
  const digest = fake.addBlob(app, bytes);
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.ok((await buffer(body)).equals(bytes));
});

test("a transfer that is given up while it waits for its turn leaves the queue", async () => {
  const left: unknown[] = [];
  const bandwidth = new (class extends Bandwidth {
    override leave(...which: Parameters<Bandwidth["leave"]>) {
      left.push(...which);
      super.leave(...which);
    }
  })(16 * KIB, () => 0);
  assert.equal(bandwidth.take({ bytes: 100 * KIB, go: () => undefined }), true);
  const source = Readable.from([Buffer.alloc(KIB), Buffer.alloc(KIB)]);
  const url = new URL("http://registry.test/");
  const body = new TransferBody(
    { method: "GET", url, status: 200, headers: {}, body: source },
    undefined,
    patient(),
    bandwidth,
  );
  body.on("data", () => assert.fail("it was not its turn"));
  while (!body.wasHeldBack()) await new Promise((resolve) => setImmediate(resolve));
  body.destroy();
  await once(body, "close");
  assert.equal(left.length, 1);
  assert.equal(source.destroyed, true);
});

test("of caps that differ the strictest counts for all registries at one place, and for them together", async (t) => {
  const { fake } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(300_000, "shared"));
  const config = registryConfig({ upstream: fake.url });
  const upstreams = createUpstreams(
    [
      { ...config, id: "ghcr", bytesPerSecond: 100 * KIB },
      { ...config, id: "lscr", bytesPerSecond: 1_000_000_000 },
    ],
    { version: "test", lookup: lookupTest },
  );
  t.after(async () => void (await Promise.all([...upstreams.values()].map((upstream) => upstream.close()))));
  const heldBack = [...upstreams.values()].map(async (upstream) => {
    const { body, wasHeldBack } = await upstream.openBlob(app, digest, undefined, patient());
    body.resume();
    await new Promise((resolve) => body.once("close", resolve));
    return wasHeldBack?.();
  });
  assert.deepEqual(await Promise.all(heldBack), [true, true]);
});
