import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { suite, test } from "node:test";
import { EventStreams, type Told } from "../src/admin/event-stream.ts";
import { type CacheEvent, Events } from "../src/admin/events.ts";
import { startApiSite } from "./support/api-site.ts";
import { open } from "./support/client.ts";
import { basic } from "./support/whole.ts";

const ME = { Authorization: basic("me", "battery staple") };

function moved(to: string): CacheEvent {
  return { name: "tag.moved", data: { image: "docker.io/library/app:1", from: "sha256:0", to } };
}

const DAMAGED: CacheEvent = { name: "content.damaged", data: { digest: "sha256:0" } };

function streams(events: Events, more: Partial<ConstructorParameters<typeof EventStreams>[0]> = {}): EventStreams {
  return new EventStreams({
    events,
    status: async () => ({ isHere: true }),
    isForAll: async () => true,
    run: "r1",
    heartbeatMs: 60_000,
    ...more,
  });
}

function listen(all: EventStreams, more: Partial<Parameters<EventStreams["listen"]>[0]> = {}) {
  const leaving = new AbortController();
  const told = all.listen({
    names: undefined,
    wantsStatus: false,
    isAdmin: false,
    lastId: undefined,
    signal: leaving.signal,
    ...more,
  });
  return {
    next: async () => (await told[Symbol.asyncIterator]().next()).value as Told | undefined,
    told,
    leave: () => leaving.abort(new Error("left")),
  };
}

/** Of what is told, as short as it can be said. */
function short(told: Told | undefined): string {
  if (told?.kind !== "event") return told?.kind ?? "end";
  return `${told.id} ${told.event.name}`;
}

suite("events", () => {
  test("come in order, with ids, to everybody who wants such", async () => {
    const events = new Events();
    const all = streams(events);
    const [both, tags] = [listen(all), listen(all, { names: new Set(["tag.moved"]) })];
    const waiting = [both.next(), tags.next()];
    await new Promise(setImmediate);
    events.publish(DAMAGED);
    events.publish(moved("sha256:1"));
    assert.deepEqual((await Promise.all(waiting)).map(short), ["r1-1 content.damaged", "r1-2 tag.moved"]);
    assert.equal(short(await both.next()), "r1-2 tag.moved");
    both.leave();
    assert.equal(await both.next(), undefined);
    tags.leave();
    assert.equal(await tags.next(), undefined);
  });

  test("that were missed are told to whoever comes back, as far as they are remembered", async () => {
    const events = new Events();
    const all = streams(events);
    for (let to = 1; to <= 3; to += 1) events.publish(moved(`sha256:${to}`));
    const back = listen(all, { lastId: "r1-1" });
    assert.deepEqual([short(await back.next()), short(await back.next())], ["r1-2 tag.moved", "r1-3 tag.moved"]);
    // Another run of the process, which counts from 1 as well; and what is no id.
    for (const lastId of ["r0-2", "nothing", "r1-99999999999999999999"]) {
      const stranger = listen(all, { lastId });
      assert.deepEqual([short(await stranger.next()), short(await stranger.next())], ["gap", "r1-1 tag.moved"], lastId);
      stranger.leave();
    }
    for (let to = 0; to < 1_100; to += 1) events.publish(DAMAGED);
    const late = listen(all, { lastId: "r1-1", names: new Set(["tag.moved"]) });
    assert.equal(short(await late.next()), "gap");
    back.leave();
    late.leave();
  });

  test("a reader that is too slow is told so and hears no more; the others hear all", async () => {
    const events = new Events();
    const all = streams(events);
    const [slow, quick] = [listen(all), listen(all)];
    const heard: string[] = [];
    const hearing = (async () => {
      for await (const told of quick.told) heard.push(short(told));
    })();
    const first = slow.next();
    await new Promise(setImmediate);
    for (let to = 1; to <= 300; to += 1) {
      events.publish(moved(`sha256:${to}`));
      await new Promise(setImmediate);
    }
    assert.equal(short(await first), "r1-1 tag.moved");
    const rest: string[] = [];
    for await (const told of slow.told) rest.push(short(told));
    assert.equal(rest.at(-1), "dropped");
    assert.ok(rest.length <= 257);
    quick.leave();
    await hearing;
    assert.equal(heard.length, 300);
  });

  test("how things are is looked up once for all who want to know, and not when nobody does", async () => {
    let looked = 0;
    const all = streams(new Events(), { statusMs: 5, status: async () => ({ looked: (looked += 1) }) });
    const quiet = listen(all);
    const waiting = quiet.next();
    const both = [listen(all, { wantsStatus: true }), listen(all, { wantsStatus: true })];
    for (let time = 0; time < 3; time += 1) {
      const told = await Promise.all(both.map(async (one) => await one.next()));
      assert.deepEqual(told.map(short), ["status", "status"]);
    }
    both.forEach((one) => one.leave());
    await Promise.all(both.map(async (one) => await one.next()));
    const before = looked;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(looked, before);
    quiet.leave();
    await waiting;
  });

  test("what is private is told to admins alone", async () => {
    const events = new Events();
    const all = streams(events, { isForAll: async ({ name }) => name !== "tag.moved" });
    const [admin, reader] = [listen(all, { isAdmin: true }), listen(all)];
    const waiting = [admin.next(), reader.next()];
    await new Promise(setImmediate);
    events.publish(moved("sha256:1"));
    events.publish(DAMAGED);
    assert.deepEqual((await Promise.all(waiting)).map(short), ["r1-1 tag.moved", "r1-2 content.damaged"]);
    admin.leave();
    reader.leave();
  });

  test("something comes when nothing happens", async () => {
    const all = streams(new Events(), { heartbeatMs: 5 });
    const one = listen(all);
    assert.equal(short(await one.next()), "heartbeat");
    one.leave();
  });
});

async function said(stream: IncomingMessage, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const piece of stream.iterator({ destroyOnReturn: false })) {
    text += String(piece);
    if (pattern.test(text)) return text;
  }
  assert.fail(`ended with ${text}`);
}

suite("GET /api/v1/events", () => {
  for (const workers of [1, 2]) {
    test(`is a stream of server-sent events that begins at once; ${workers} workers`, async (t) => {
      const site = await startApiSite(t, { workers });
      const stream = await open(`${site.url}/api/v1/events?types=status`, { headers: ME });
      t.after(() => stream.destroy());
      assert.deepEqual([stream.statusCode, stream.headers["content-type"]], [200, "text/event-stream"]);
      assert.equal(stream.headers["cache-control"], "no-store");
      assert.match(await said(stream, /\n\n[^]*\n\n/), /^retry: 2000\n: .*\n\nevent: status\ndata: \{.*\}\n\n/);
    });
  }

  test("ends when the cache stops, which does not wait for it", async (t) => {
    const { startCache, testRegistry } = await import("./support/cache.ts");
    const cache = await startCache(t, [testRegistry("http://127.0.0.1:9")], { config: { stopTimeoutMs: 60_000 } });
    const stream = await open(`${cache.url}/api/v1/events`);
    await said(stream, /from now on/);
    const ended = new Promise((resolve) => stream.once("end", resolve).once("close", resolve).resume());
    await cache.stop();
    await ended;
  });

  test("HEAD listens to nothing", async (t) => {
    const site = await startApiSite(t);
    for (let time = 0; time < 70; time += 1) {
      assert.equal((await site.ask("HEAD", "/api/v1/events", { user: "me" })).status, 200);
    }
    const stream = await open(`${site.url}/api/v1/events`, { headers: ME });
    assert.equal(stream.statusCode, 200);
    stream.destroy();
  });
});
