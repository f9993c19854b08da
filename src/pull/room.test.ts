import assert from "node:assert/strict";
import { test } from "node:test";
import { NoRoomError } from "../store/store.ts";
import { type Budgets, Room, type Shortage } from "./room.ts";

interface Facts {
  disk: number;
  held: number;
  corp: number;
  partials: number;
}

function setUp(budgets: Partial<Budgets> = {}, differs: Partial<Facts> = {}) {
  const facts: Facts = { disk: 1_000_000, held: 0, corp: 0, partials: 0, ...differs };
  const room = new Room({
    store: {
      room: async () => facts.disk,
      partials: () => ({ partials: 1, bytes: facts.partials, byRegistry: new Map([["corp", facts.partials]]) }),
    },
    catalog: {
      heldBytes: async () => ({
        bytes: facts.held,
        contents: 1,
        byRegistry: new Map([["corp", { bytes: facts.corp, contents: 1 }]]),
      }),
    },
    budgets: { all: undefined, byRegistry: new Map(), ...budgets },
  });
  return { facts, room };
}

const need = (bytes: number, registryId = "hub") => ({ registryId, bytes });

test("what is held, partials and what was promised are taken off the budget", async () => {
  const { room, facts } = setUp({ all: 1_000 }, { held: 300, partials: 200 });
  const first = await room.reserve(need(400));
  assert.equal(await room.has(need(100)), true);
  assert.equal(await room.has(need(101)), false);
  await assert.rejects(room.reserve(need(101)), NoRoomError);
  // What was written counts as a partial now.
  first.written(150);
  facts.partials += 150;
  assert.equal(await room.has(need(101)), false);
  assert.equal(await room.has(need(100)), true);
  first.release();
  assert.equal(await room.has(need(350)), true);
});

test("what is stored counts until the catalog knows of it", async () => {
  const { room, facts } = setUp({ all: 1_000 });
  const fill = await room.reserve(need(600));
  fill.written(600);
  fill.becomes(600);
  assert.equal(await room.used(), 600);
  facts.held = 600;
  fill.release();
  assert.equal(await room.used(), 600);
});

test("a registry has its own budget beside that of all", async () => {
  const { room } = setUp({ all: 10_000, byRegistry: new Map([["corp", 500]]) }, { held: 400, corp: 400 });
  assert.equal(await room.has(need(101, "corp")), false);
  assert.equal(await room.has(need(101)), true);
  assert.equal(await room.has({ registryId: "corp", bytes: 0, registryBytes: 101 }), false);
  await assert.rejects(room.reserve(need(501, "corp")), /registry's max_size/);
});

test("the disk's reserve is kept for all that was promised, without a budget as well", async () => {
  const { room, facts } = setUp({}, { disk: 1_000 });
  const fill = await room.reserve(need(800));
  assert.equal(await room.has(need(201)), false);
  fill.written(800);
  facts.disk = 200;
  assert.equal(await room.has(need(200)), true);
});

test("what is larger than the budget, or than all that could go, evicts nothing", async () => {
  const { room } = setUp({ all: 1_000 }, { held: 900, disk: 500 });
  const makeRoom = () => assert.fail("nothing shall go");
  room.evictBy({ makeRoom, tend: () => undefined });
  await assert.rejects(room.reserve(need(1_001)), /more than max_size/);
  const onDisk = setUp({}, { held: 100, disk: 10 });
  onDisk.room.evictBy({ makeRoom, tend: () => undefined });
  await assert.rejects(onDisk.room.reserve(need(111)), /would not fit/);
});

test("whoever lacks room has it made, and is told how much", async () => {
  const { room, facts } = setUp({ all: 1_000 }, { held: 900 });
  const lacked: (Shortage | undefined)[] = [];
  let tended = 0;
  const makeRoom = async (shortage: () => Promise<Shortage | undefined>) => {
    lacked.push(await shortage());
    facts.held -= 150;
    return true;
  };
  room.evictBy({ makeRoom, tend: () => void (tended += 1) });
  await room.reserve(need(250));
  assert.deepEqual(
    lacked.map((one) => one?.all),
    [150],
  );
  assert.equal(tended, 1, "it is nearly full now");
});

test("where nothing more can go there is none", async () => {
  const { room } = setUp({ all: 1_000 }, { held: 900 });
  room.evictBy({ makeRoom: async () => false, tend: () => undefined });
  await assert.rejects(room.reserve(need(250)), /budget is used up; nothing more can be evicted/);
});

test("a share of the budgets is lacking above it, down to it", async () => {
  const { room } = setUp({ all: 1_000, byRegistry: new Map([["corp", 100]]) }, { held: 940, corp: 80 });
  assert.equal(await room.shortage([], 0.95), undefined);
  const shortage = await room.shortage([], 0.75);
  assert.equal(shortage?.all, 190);
  assert.deepEqual([...(shortage?.byRegistry ?? [])], [["corp", 5]]);
});
