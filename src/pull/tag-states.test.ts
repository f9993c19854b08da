import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../test/support/bytes.ts";
import { parseRepositoryName, parseTag, type Repository, type RepositoryName, type Tag } from "../oci/reference.ts";
import type { TagState } from "./held.ts";
import { HoldsInMemory } from "./holds.ts";
import { TagStates } from "./tag-states.ts";

const APP: Repository = { registryId: "x", serves: "x.example", name: parseRepositoryName("app") as RepositoryName };
const LATEST = parseTag("latest") as Tag;
const [good, broken] = [sha256(Buffer.from("good")), sha256(Buffer.from("broken"))];

/** What upstream has said is `held.state`; `told` is what fronts hear. */
function setUp() {
  const held = { state: { digest: broken, confirmedAtMs: Date.now() } as TagState | undefined };
  const holds = new HoldsInMemory();
  const told: (TagState | undefined)[] = [];
  const states = new TagStates({
    held: { manifest: async () => undefined, tag: async () => held.state },
    holds,
    onTag: (_, __, state) => told.push(state),
  });
  return { held, holds, told, states };
}

test("whoever asks or is told hears what a tag is held at, whatever upstream says meanwhile", async () => {
  const { held, holds, told, states } = setUp();
  const hold = { digest: good, confirmedAtMs: 0, byHold: true } as const;
  holds.hold(APP, LATEST, good);
  states.heard(APP, LATEST, { digest: broken, confirmedAtMs: 5 });
  assert.deepEqual(told, [hold, hold]);
  assert.deepEqual(await states.of(APP, LATEST), hold);
  held.state = undefined;
  assert.deepEqual(await states.of(APP, LATEST), hold);
});

test("released, a tag is to be forgotten, and upstream's word from before does for nobody", async () => {
  const { held, holds, told, states } = setUp();
  holds.hold(APP, LATEST, good);
  told.length = 0;
  holds.release(APP, LATEST);
  assert.deepEqual(told, [undefined]);
  assert.deepEqual(await states.of(APP, LATEST), { digest: broken, confirmedAtMs: 0 });
  assert.ok((states.releasedAtMs(APP, LATEST) ?? 0) > 0);
  // That upstream has lost it is no confirmation.
  states.heard(APP, LATEST, { digest: broken, confirmedAtMs: 7, vanishedAtMs: 8 });
  assert.equal((await states.of(APP, LATEST))?.confirmedAtMs, 0);
  const confirmed = { digest: broken, confirmedAtMs: 9 };
  held.state = confirmed;
  states.heard(APP, LATEST, confirmed);
  assert.deepEqual([await states.of(APP, LATEST), states.releasedAtMs(APP, LATEST)], [confirmed, undefined]);
  assert.deepEqual(told.at(-1), confirmed);
});

test("a tag that is held anew was not released", async () => {
  const { holds, states } = setUp();
  holds.hold(APP, LATEST, good);
  holds.release(APP, LATEST);
  holds.hold(APP, LATEST, broken);
  assert.equal(states.releasedAtMs(APP, LATEST), undefined);
  assert.equal((await states.of(APP, LATEST))?.digest, broken);
});
