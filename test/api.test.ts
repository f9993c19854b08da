import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { suite, test, type TestContext } from "node:test";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ApiDocument, type ApiOperation, faultOf, operationsOf } from "./support/api-document.ts";
import { type ApiAsk, type ApiSite, startApiSite } from "./support/api-site.ts";
import { type Answer, open } from "./support/client.ts";
import { basic } from "./support/whole.ts";

const KEPT = new URL("../docs/openapi.json", import.meta.url);

/** How an operation is exercised. */
interface Row {
  /** What is asked; by default the path as it stands in the document. */
  readonly path?: string;
  readonly body?: unknown;
  readonly status?: number;
  /** It does not end by itself. */
  readonly isStream?: true;
  /** Brings about what it needs. */
  readonly before?: (site: ApiSite) => Promise<void>;
  /** Errors beside those that all have in common. */
  readonly errors?: Readonly<Record<number, Provoked>>;
}

/** A question that is refused so, by an admin where it does not say otherwise; or what brings such an answer about. */
type Provoked = (ApiAsk & { readonly path?: string }) | ((site: ApiSite, t: TestContext) => Promise<Answer>);

const ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/openapi.json": {},
  "GET /api/v1/bypassing": {},
  "GET /api/v1/status": { before: pullApp },
  "GET /api/v1/activity": {},
  "GET /api/v1/registries": {},
  "GET /api/v1/registries/{id}": {
    path: "/api/v1/registries/dockerhub",
    errors: { 404: { path: "/api/v1/registries/nothing" } },
  },
  "GET /api/v1/repositories": { before: pullApp, errors: { 400: { path: "/api/v1/repositories?limit=0" } } },
  "GET /api/v1/images": { before: pullApp, errors: { 400: { path: "/api/v1/images?sort=colour" } } },
  "GET /api/v1/images/{reference}": {
    before: pullApp,
    path: "/api/v1/images/app:1",
    errors: { 400: { path: "/api/v1/images/NOT%20ONE" }, 404: { path: "/api/v1/images/docker.io/library/app:2" } },
  },
  "GET /api/v1/history/{reference}": {
    before: pullApp,
    path: "/api/v1/history/docker.io/library/app:1",
    errors: { 400: { path: `/api/v1/history/app@sha256:${"0".repeat(64)}` }, 404: { path: "/api/v1/history/app:2" } },
  },
  "GET /api/v1/statistics": {
    before: pullApp,
    errors: { 400: { path: "/api/v1/statistics?from=2026-11-26&to=2026-11-25" } },
  },
  "GET /api/v1/pins": {},
  "PUT /api/v1/pins/{reference}": {
    path: "/api/v1/pins/docker.io/library/app:1",
    body: { note: "the one that works" },
    errors: {
      400: { path: "/api/v1/pins/NOT%20ONE" },
      404: { path: `/api/v1/pins/app:1@sha256:${"0".repeat(64)}` },
      409: tooManyPins,
    },
  },
  "DELETE /api/v1/pins/{reference}": {
    path: "/api/v1/pins/app:1",
    before: async (site) => void (await site.ask("PUT", "/api/v1/pins/app:1", { user: "ops" })),
    errors: {
      400: { path: "/api/v1/pins/NOT%20ONE" },
      404: { path: "/api/v1/pins/app:2" },
      409: { path: "/api/v1/pins/docker.io/library/configured-*" },
    },
  },
  "POST /api/v1/evict": {
    before: pullApp,
    body: { images: ["app:1", "app:2"] },
    errors: { 400: { body: { images: ["app:1"], registry: "dockerhub" } } },
  },
  "GET /api/v1/prune": { before: pullApp },
  "POST /api/v1/prune": { before: pullApp },
  "GET /api/v1/events": {
    isStream: true,
    errors: { 400: { path: "/api/v1/events?types=nothing" }, 503: tooManyListeners },
  },
  "GET /api/v1/scrub": {},
  "POST /api/v1/scrub": { body: {}, status: 202, errors: { 400: { body: { bytesPerSecond: 0 } }, 409: scrubTwice } },
  "DELETE /api/v1/scrub": {
    before: async (site) => await eventually(async () => (await scrubSlowly(site)).status === 202),
    errors: { 409: scrubStoppedTwice },
  },
  "GET /api/v1/reindex": {},
  "POST /api/v1/reindex": { status: 202, errors: { 409: reindexTwice } },
  "POST /api/v1/warm": {
    body: { references: ["app:1"], platforms: "all" },
    errors: { 400: { body: { references: [], platforms: "all" } }, 503: tooManyRuns },
  },
  "GET /api/v1/keep-fresh": {},
  "DELETE /api/v1/keep-fresh": { body: { references: ["app:1"] }, errors: { 400: { body: "{" } } },
};

/** It would take hours. */
async function scrubSlowly(site: ApiSite): Promise<Answer> {
  await pullApp(site);
  return await site.ask("POST", "/api/v1/scrub", { user: "ops", body: { bytesPerSecond: 1024 } });
}

async function scrubTwice(site: ApiSite): Promise<Answer> {
  await site.ask("DELETE", "/api/v1/scrub", { user: "ops" });
  await scrubSlowly(site);
  return await scrubSlowly(site);
}

async function scrubStoppedTwice(site: ApiSite): Promise<Answer> {
  await site.ask("DELETE", "/api/v1/scrub", { user: "ops" });
  return await site.ask("DELETE", "/api/v1/scrub", { user: "ops" });
}

async function reindexTwice(site: ApiSite): Promise<Answer> {
  const asked = Array.from({ length: 5 }, () => site.ask("POST", "/api/v1/reindex", { user: "ops" }));
  const answers = await Promise.all(asked);
  return answers.find(({ status }) => status !== 202) ?? (answers[0] as Answer);
}

async function pullApp(site: ApiSite): Promise<void> {
  const image = site.upstream.addImage("library/app", "1");
  const paths = ["manifests/1", ...[image.config, ...image.layers].map(({ digest }) => `blobs/${digest}`)];
  for (const path of paths) {
    assert.equal((await site.ask("GET", `/v2/library/app/${path}`, { user: "me" })).status, 200, path);
  }
  await eventually(async () => (await site.ask("GET", "/api/v1/images/app:1", { user: "ops" })).status === 200);
}

const BODY_TOO_LONG = JSON.stringify({ references: ["x".repeat(1024 * 1024)] });

async function tooManyListeners(site: ApiSite, t: TestContext): Promise<Answer> {
  const headers = { Authorization: basic("ops", "correct horse") };
  const listeners: IncomingMessage[] = [];
  t.after(() => listeners.forEach((one) => one.destroy()));
  for (let count = 0; count < 64; count += 1) {
    const one = await open(`${site.url}/api/v1/events`, { headers });
    assert.equal(one.statusCode, 200);
    listeners.push(one);
    await new Promise((resolve) => one.once("data", resolve));
  }
  return await site.ask("GET", "/api/v1/events", { user: "ops" });
}

async function tooManyPins(site: ApiSite): Promise<Answer> {
  const lines = Array.from({ length: 1_000 }, (_, at) => `docker.io/library/app:${at}\n`);
  await writeFile(join(site.dataDir, "pins.txt"), lines.join(""));
  return await site.ask("PUT", "/api/v1/pins/docker.io/library/more:1", { user: "ops" });
}

async function tooManyRuns(site: ApiSite, t: TestContext): Promise<Answer> {
  site.upstream.script({ path: "/manifests/slow" }, { kind: "hang", times: Infinity });
  const headers = { Authorization: basic("ops", "correct horse"), "Content-Type": "application/json" };
  const body = JSON.stringify({ references: ["app:slow"], platforms: "all" });
  const runs: IncomingMessage[] = [];
  t.after(() => runs.forEach((one) => one.destroy()));
  for (let count = 0; count < 4; count += 1) {
    const sent = { ...headers, "Content-Length": String(body.length) };
    const one = await open(`${site.url}/api/v1/warm`, { method: "POST", headers: sent, body });
    runs.push(one);
    await new Promise((resolve) => one.once("data", resolve));
  }
  return await site.ask("POST", "/api/v1/warm", { user: "ops", body: { references: ["app:slow"], platforms: "all" } });
}

async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  for (const lastMs = Date.now() + 10_000; Date.now() < lastMs; await delay(10)) if (await isTrue()) return;
  assert.fail(`never came true: ${isTrue.toString()}`);
}

async function documentOf(site: ApiSite): Promise<ApiDocument> {
  const answer = await site.ask("GET", "/api/v1/openapi.json", { user: "me" });
  assert.equal(answer.status, 200);
  return JSON.parse(answer.body.toString()) as ApiDocument;
}

/** The answer fits the schema that the document has for its status and type. */
function assertFits(document: ApiDocument, operation: ApiOperation, answer: Answer, what: string): void {
  const response = operation.responses[answer.status];
  assert.ok(response !== undefined, `${what}: ${answer.status} is not in the document: ${answer.body.toString()}`);
  const type = String(answer.headers["content-type"]);
  const schema = response.content?.[type]?.schema;
  assert.ok(schema !== undefined, `${what}: ${answer.status} with ${type} is not in the document`);
  const text = answer.body.toString();
  const values = type === "application/x-ndjson" ? text.trim().split("\n") : [text];
  for (const value of values)
    assert.equal(faultOf(document, schema, JSON.parse(value)), undefined, `${what}: ${value}`);
}

async function provoked(site: ApiSite, t: TestContext, operation: string, how: Provoked): Promise<Answer> {
  if (typeof how === "function") return await how(site, t);
  const [method = "", path = ""] = operation.split(" ");
  const { path: at = ROWS[operation]?.path ?? path, ...options } = how;
  return await site.ask(method, at, { user: "ops", ...options });
}

suite("the API by its document", () => {
  test("every operation has a row here, and is told of in full", async (t) => {
    const operations = operationsOf(await documentOf(await startApiSite(t)));
    assert.deepEqual([...operations.keys()].toSorted(), Object.keys(ROWS).toSorted());
    const ids = [...operations.values()].map(({ operationId }) => operationId);
    assert.equal(new Set(ids).size, operations.size);
    for (const [name, { summary, tags, parameters = [], responses }] of operations) {
      assert.ok(summary !== undefined && tags?.length === 1, name);
      for (const parameter of parameters) assert.ok(parameter.description !== undefined, `${name} ${parameter.name}`);
      for (const [status, { description }] of Object.entries(responses))
        assert.notEqual(description, "", `${name} ${status}`);
    }
  });

  test("docs/openapi.json is what is served", async (t) => {
    const text = `${JSON.stringify(await documentOf(await startApiSite(t)), undefined, 2)}\n`;
    if (process.env["UPDATE_GOLDENS"] === "1") await writeFile(KEPT, text);
    assert.equal(await readFile(KEPT, "utf8"), text, "UPDATE_GOLDENS=1 node --test test/api.test.ts writes it anew");
  });

  for (const workers of [1, 2]) {
    test(`every operation answers as the document says, with ${workers} workers`, async (t) => {
      const site = await startApiSite(t, { workers });
      site.upstream.addImage("library/app", "1");
      const document = await documentOf(site);
      for (const [name, operation] of operationsOf(document)) {
        const row = ROWS[name] ?? {};
        const [method = "", path = ""] = name.split(" ");
        await row.before?.(site);
        if (row.isStream === true) continue;
        const answer = await site.ask(method, row.path ?? path, { user: "ops", body: row.body });
        assert.equal(answer.status, row.status ?? 200, `${name}: ${answer.body.toString()}`);
        assertFits(document, operation, answer, name);
        if (method === "GET") await assertConditional(site, row.path ?? path, answer);
      }
    });
  }

  test("every error that the document names comes, in the form that it names", async (t) => {
    const document = await documentOf(await startApiSite(t));
    for (const [name, operation] of operationsOf(document)) {
      const [method = ""] = name.split(" ");
      const isRead = method === "GET";
      // Each on a cache of its own: some of them keep it busy.
      const site = await startApiSite(t, isRead ? { config: { api: ADMINS_READ } } : {});
      await ROWS[name]?.before?.(site);
      const common: Record<number, Provoked> = {
        401: { user: undefined },
        403: { user: "me" },
        413: { body: BODY_TOO_LONG },
        415: { body: "references=app", headers: { "Content-Type": "application/x-www-form-urlencoded" } },
      };
      const wanted = Object.keys(operation.responses).filter((status) => Number(status) >= 400);
      for (const status of wanted) {
        const how = ROWS[name]?.errors?.[Number(status)] ?? common[Number(status)];
        assert.ok(how !== undefined, `${name}: nothing here provokes ${status}`);
        const answer = await provoked(site, t, name, how);
        assert.equal(answer.status, Number(status), `${name}: ${answer.body.toString()}`);
        assertFits(document, operation, answer, name);
        assert.equal(answer.headers["cache-control"], "no-store");
        const { status: told, detail } = JSON.parse(answer.body.toString()) as { status: number; detail: string };
        assert.equal(told, answer.status);
        assert.ok(detail.length > 10, detail);
      }
    }
  });
});

const ADMINS_READ = { hostnames: [], read: "admins", metrics: "admins", admins: ["ops"] } as const;

/** HEAD has the headers of GET; whoever has it already is told that nothing has changed, unless something has. */
async function assertConditional(site: ApiSite, path: string, got: Answer): Promise<void> {
  const head = await site.ask("HEAD", path, { user: "ops" });
  assert.deepEqual([head.status, head.body.length], [200, 0], path);
  assert.equal(head.headers["content-type"], got.headers["content-type"]);
  const tag = String(head.headers.etag);
  assert.match(tag, /^"[\w-]{22}"$/);
  for (const known of [`W/"x", ${tag}`, "*", `W/${tag}`]) {
    const again = await site.ask("GET", path, { user: "ops", headers: { "If-None-Match": known } });
    if (again.headers.etag !== tag && known !== "*") continue;
    assert.deepEqual([again.status, again.body.length, again.headers["content-length"]], [304, 0, undefined], path);
    assert.equal(again.headers["cache-control"], "private, no-cache");
  }
  const other = await site.ask("GET", path, { user: "ops", headers: { "If-None-Match": '"other"' } });
  assert.equal(other.status, 200);
}
