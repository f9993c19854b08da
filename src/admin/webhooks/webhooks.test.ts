import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { eventually } from "../../../test/support/open-files.ts";
import { startReceiver } from "../../../test/support/receiver.ts";
import type { Webhook } from "../../config/config.ts";
import { EVENT_NAMES } from "../../config/event-names.ts";
import { type CacheEvent, Events } from "../events.ts";
import { WEBHOOK_LIMITS, type WebhookLimits } from "./limits.ts";
import { startWebhooks, type Webhooks } from "./webhooks.ts";

const NO_PROXY = { httpProxy: "", httpsProxy: "", noProxy: "" };
const QUICK: WebhookLimits = { ...WEBHOOK_LIMITS, pauseMs: 1, pauseMsMax: 4, stopMs: 500 };

interface Told {
  readonly events: Events;
  readonly webhooks: Webhooks;
  readonly lines: string[];
}

function setUp(t: TestContext, hooks: readonly Partial<Webhook>[], limits: Partial<WebhookLimits> = {}): Told {
  const events = new Events();
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const full = hooks.map((one) => ({ url: "", events: EVENT_NAMES, secret: undefined, ...one }));
  const config = { webhooks: full, proxy: NO_PROXY, url: "https://cache.test" };
  const webhooks = startWebhooks({ config, events, version: "1.2.3", log, limits: { ...QUICK, ...limits } });
  t.after(async () => await webhooks.stop());
  return { events, webhooks, lines };
}

function moved(to: string): CacheEvent {
  return { name: "tag.moved", data: { image: "docker.io/library/nginx:1.27", from: "sha256:a", to } };
}

test("an event is sent as CloudEvents 1.0 in structured mode, signed, to whoever wants it", async (t) => {
  const receiver = await startReceiver(t);
  const other = await startReceiver(t);
  const { events, webhooks } = setUp(t, [
    { url: `${receiver.url}/hooks?for=us`, secret: "a secret" },
    { url: other.url, events: ["upstream.down"] },
  ]);
  events.publish(moved("sha256:b"), Date.UTC(2026, 0, 2, 3, 4, 5, 6));
  events.publish({ name: "upstream.down", data: { registry: "dockerhub" } });
  await eventually(async () => receiver.received.length === 2 && other.received.length === 1);
  const [first] = receiver.received;
  assert.ok(first !== undefined);
  const { id, ...event } = first.event;
  assert.match(id, /^[0-9a-f]{12}-1$/);
  assert.deepEqual(event, {
    specversion: "1.0",
    source: "https://cache.test",
    type: "registry-cache.tag.moved",
    time: "2026-01-02T03:04:05.006Z",
    subject: "docker.io/library/nginx:1.27",
    datacontenttype: "application/json",
    data: { image: "docker.io/library/nginx:1.27", from: "sha256:a", to: "sha256:b" },
  });
  assert.equal(first.path, "/hooks?for=us");
  assert.equal(first.headers["content-type"], "application/cloudevents+json; charset=utf-8");
  assert.equal(first.headers["user-agent"], "registry-cache/1.2.3");
  const signature = createHmac("sha256", "a secret").update(first.body).digest("hex");
  assert.equal(first.headers["x-hub-signature-256"], `sha256=${signature}`);
  assert.deepEqual(other.types, ["registry-cache.upstream.down"]);
  assert.equal(other.received[0]?.headers["x-hub-signature-256"], undefined);
  const none = { failed: 0, dropped: 0, waiting: 0 };
  await eventually(
    async () => webhooks.counts().every(({ waiting }) => waiting === 0) && webhooks.counts()[0]?.sent === 2,
  );
  assert.deepEqual(webhooks.counts(), [
    { sent: 2, ...none },
    { sent: 1, ...none },
  ]);
});

test("what fails is tried again until it is taken, in order, under the same id", async (t) => {
  const receiver = await startReceiver(t, (res, count) => {
    if (count === 1) res.destroy();
    else res.writeHead(count < 4 ? 503 : 200).end();
  });
  const { events, webhooks, lines } = setUp(t, [{ url: receiver.url }]);
  for (const to of ["sha256:b", "sha256:c", "sha256:d"]) events.publish(moved(to));
  await eventually(async () => webhooks.counts()[0]?.sent === 3);
  const tos = receiver.received.map(({ event }) => (event.data as { to: string }).to);
  assert.deepEqual(tos, ["sha256:b", "sha256:b", "sha256:b", "sha256:b", "sha256:c", "sha256:d"]);
  assert.equal(new Set(receiver.received.slice(0, 4).map(({ event }) => event.id)).size, 1);
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
    ["the webhook takes no event; it is tried again", "the webhook takes events again"],
  );
});

test("a redirect is not followed: what it leads to is told nothing", async (t) => {
  const inside = await startReceiver(t);
  const receiver = await startReceiver(t, (res) => res.writeHead(307, { Location: inside.url }).end());
  const { events, webhooks } = setUp(t, [{ url: receiver.url }]);
  events.publish(moved("sha256:b"));
  await eventually(async () => webhooks.counts()[0]?.failed === 1);
  assert.equal(receiver.received.length, 1);
  assert.equal(inside.received.length, 0);
});

test("a receiver that never answers costs a try's time, and others nothing", async (t) => {
  const silent = await startReceiver(t, () => undefined);
  const receiver = await startReceiver(t);
  const { events, webhooks } = setUp(t, [{ url: silent.url }, { url: receiver.url }], {
    tryTimeoutMs: 50,
    giveUpMs: 1,
  });
  events.publish(moved("sha256:b"));
  events.publish(moved("sha256:c"));
  await eventually(async () => webhooks.counts()[0]?.failed === 2);
  assert.equal(webhooks.counts()[1]?.sent, 2);
});

test("a receiver that is away for long keeps the latest events, and the others are counted", async (t) => {
  let isAway = true;
  const receiver = await startReceiver(t, (res) => res.writeHead(isAway ? 503 : 204).end());
  const { events, webhooks } = setUp(t, [{ url: receiver.url }], { queueMax: 3 });
  events.publish(moved("sha256:0"));
  await eventually(async () => receiver.received.length > 0);
  for (let at = 1; at <= 10; at += 1) events.publish(moved(`sha256:${at}`));
  assert.deepEqual(webhooks.counts()[0], { sent: 0, failed: 0, dropped: 7, waiting: 3 });
  isAway = false;
  await eventually(async () => webhooks.counts()[0]?.sent === 4);
  const tos = receiver.received.map(({ event }) => (event.data as { to: string }).to);
  assert.deepEqual([...new Set(tos)], ["sha256:0", "sha256:8", "sha256:9", "sha256:10"]);
});

test("a stop tells what waits, and says how much it could not", async (t) => {
  const receiver = await startReceiver(t);
  const told = setUp(t, [{ url: receiver.url }]);
  for (let at = 0; at < 20; at += 1) told.events.publish(moved(`sha256:${at}`));
  await told.webhooks.stop();
  assert.equal(receiver.received.length, 20);

  const silent = await startReceiver(t, () => undefined);
  const cut = setUp(t, [{ url: silent.url }], { stopMs: 50 });
  for (let at = 0; at < 5; at += 1) cut.events.publish(moved(`sha256:${at}`));
  await eventually(async () => silent.received.length === 1);
  await cut.webhooks.stop();
  assert.deepEqual(cut.webhooks.counts(), [{ sent: 0, failed: 1, dropped: 4, waiting: 0 }]);
  cut.events.publish(moved("sha256:late"));
  assert.equal(cut.webhooks.counts()[0]?.waiting, 0);
});

test("the log knows nothing of what is secret in an address, which goes to the receiver alone", async (t) => {
  const receiver = await startReceiver(t, (res) => res.writeHead(400).end());
  const url = receiver.url.replace("http://", "http://user:hunter2@");
  const { events, webhooks, lines } = setUp(t, [
    { url: `${url}/T00/B00/path-secret?key=query-secret`, secret: "hmac-key" },
  ]);
  events.publish(moved("sha256:b"));
  await eventually(async () => webhooks.counts()[0]?.failed === 1);
  assert.equal(receiver.received[0]?.headers.authorization, `Basic ${btoa("user:hunter2")}`);
  assert.match(lines.join(""), /it answered with 400/);
  assert.doesNotMatch(lines.join(""), /hunter2|path-secret|query-secret|hmac-key/);
});
