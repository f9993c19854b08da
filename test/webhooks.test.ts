import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { EVENT_NAMES } from "../src/config/event-names.ts";
import type { Config } from "../src/config/config.ts";
import type { Digest } from "../src/oci/digest.ts";
import { layoutOf } from "../src/store/layout.ts";
import { testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { valueOf, parseExposition } from "./support/exposition.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { type Receiver, startReceiver } from "./support/receiver.ts";
import { startWhole } from "./support/whole.ts";

async function setUp(t: TestContext, workers: number, receiver: Receiver, config: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const webhooks = [{ url: receiver.url, events: EVENT_NAMES, secret: "a secret" }];
  const always = [{ match: "*", revalidate: { kind: "always" } }] as const;
  const cache = await startWhole(t, [testRegistry(upstream.url, { tags: always })], {
    workers,
    config: { webhooks, ...config },
  });
  const pull = async (reference: string) => await ask(`${cache.url}/v2/library/nginx/manifests/${reference}`);
  return { upstream, cache, pull };
}

/** Whole and in its place. */
async function damaged(dataDir: string, digest: Digest): Promise<void> {
  const file = await open(layoutOf(dataDir).blob(digest), "r+");
  await file.write(Buffer.from("damage"), 0, 6, 0);
  await file.close();
}

for (const workers of [1, 2]) {
  const by = `with ${workers} worker${workers === 1 ? "" : "s"}`;

  test(`${by} receivers are told of what pulls bring, and of what upstreams do`, async (t) => {
    const receiver = await startReceiver(t);
    const { upstream, pull } = await setUp(t, workers, receiver);
    const first = upstream.addImage("library/nginx", "latest");
    assert.equal((await pull("latest")).status, 200);
    const second = upstream.addImage("library/nginx", "latest", { seed: "another" });
    assert.equal((await pull("latest")).status, 200);
    upstream.deleteTag("library/nginx", "latest");
    assert.equal((await pull("latest")).status, 200);
    const image = "docker.io/library/nginx";
    await eventually(async () => receiver.received.length >= 4);
    const told = receiver.received.map(({ event: { type, subject, data } }) => ({ type, subject, data }));
    assert.deepEqual(told, [
      {
        type: "registry-cache.digest.new",
        subject: `${image}@${first.digest}`,
        data: { image: `${image}@${first.digest}`, digest: first.digest, size: first.bytes.length },
      },
      {
        type: "registry-cache.digest.new",
        subject: `${image}@${second.digest}`,
        data: { image: `${image}@${second.digest}`, digest: second.digest, size: second.bytes.length },
      },
      {
        type: "registry-cache.tag.moved",
        subject: `${image}:latest`,
        data: { image: `${image}:latest`, from: first.digest, to: second.digest },
      },
      {
        type: "registry-cache.tag.vanished",
        subject: `${image}:latest`,
        data: { image: `${image}:latest`, digest: second.digest },
      },
    ]);
  });

  test(`${by} a receiver that is away, or never answers, slows no pull`, async (t) => {
    const silent = await startReceiver(t, () => undefined);
    const { upstream, cache, pull } = await setUp(t, workers, silent);
    upstream.addImage("library/nginx", "latest");
    assert.equal((await pull("latest")).status, 200);
    await eventually(async () => silent.received.length === 1);
    for (let round = 0; round < 20; round += 1) {
      upstream.addImage("library/nginx", "latest", { seed: round });
      assert.equal((await pull("latest")).status, 200);
    }
    const families = parseExposition((await ask(`${cache.url}/metrics`)).body.toString());
    // 21 digests, 20 moves, of which one is being told.
    assert.equal(valueOf(families, "registry_cache_webhook_waiting_events", { webhook: "1" }), 40);
  });
}

test("a receiver is told of an upstream that is down, and that it is up again", async (t) => {
  const receiver = await startReceiver(t);
  const { upstream, pull } = await setUp(t, 1, receiver);
  upstream.addImage("library/nginx", "latest");
  await pull("latest");
  await upstream.stop();
  let count = 0;
  const toldOf = async (type: string) => {
    // Each of its own: what was refused is remembered for a moment.
    await pull(`tag-${(count += 1)}`);
    return receiver.types.includes(type);
  };
  await eventually(async () => await toldOf("registry-cache.upstream.down"));
  await upstream.restart();
  await eventually(async () => await toldOf("registry-cache.upstream.up"));
  const told = receiver.received.map(({ event }) => event).filter(({ type }) => type.includes(".upstream."));
  assert.deepEqual(
    told.map(({ type, subject }) => [type, subject]),
    [
      ["registry-cache.upstream.down", "dockerhub"],
      ["registry-cache.upstream.up", "dockerhub"],
    ],
  );
});

test("a receiver is told of damage that was found", async (t) => {
  const receiver = await startReceiver(t);
  const { upstream, cache } = await setUp(t, 1, receiver);
  const image = upstream.addImage("library/nginx", "latest", { layers: [2_000_000] });
  const [layer] = image.layers;
  const url = `${cache.url}/v2/library/nginx/blobs/${layer?.digest}`;
  await eventually(async () => String((await ask(url)).headers["cache-status"]).includes("; hit"));
  await damaged(cache.dataDir, layer?.digest as Digest);
  assert.equal((await ask(url)).status, 200);
  await eventually(async () => receiver.types.includes("registry-cache.content.damaged"));
  const found = receiver.received.find(({ event }) => event.type === "registry-cache.content.damaged");
  assert.deepEqual(found?.event.data, { digest: layer?.digest });
});
