import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { openUpstream, registryConfig, startBench } from "../../test/support/upstreams.ts";
import { IN_MEMORY, openSqliteCatalog } from "../catalog/sqlite.ts";
import { compileTagGlob } from "../lib/glob.ts";
import { digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { OCI_MANIFEST } from "../oci/media-types.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { admissionBy } from "./admission.ts";
import { pullRegistries } from "./registries.ts";

const MINUTES_MS = 11 * 60_000;
const APP = { registryId: "test", serves: "registry.test", name: "org/app" as RepositoryName };

/** A registry to which credentials are passed, in front of an upstream whose repository is public until it is not. */
async function setUp(
  t: TestContext,
  { fetchedWith, askBudgetMs = 30_000 }: { fetchedWith?: string; askBudgetMs?: number } = {},
) {
  const clock = { ms: 1_000_000 };
  const hidden: string[] = [];
  const { fake } = await startBench(t, {
    fake: { auth: "bearer", users: { ann: "secret" }, privateRepositories: hidden },
  });
  fake.addImage(APP.name, "1");
  const timeouts = { connectMs: 5_000, headersMs: 30_000, idleMs: 60_000, askBudgetMs };
  const config = registryConfig({ upstream: fake.url, realms: ["auth.test"], passThrough: true, timeouts });
  const upstream = openUpstream(t, config, { nowMs: () => clock.ms });
  const catalog = await openSqliteCatalog(IN_MEMORY);
  t.after(async () => await catalog.close());
  const manifest = { mediaType: OCI_MANIFEST, manifests: [], blobs: [] };
  const held = { repository: APP, digest: digestOf(Buffer.from("held")), size: 4, manifest, fetchedWith, atMs: 1 };
  await catalog.recordManifest(held);
  const { signal } = new AbortController();
  const log = pino({ level: "silent" });
  const registries = pullRegistries([config], new Map([["test", upstream]]), compileTagGlob);
  const admit = admissionBy({ registries, catalog, log, signal });
  const ask = async () => await admit(APP, undefined, signal, async (question) => await question());
  return { fake, hidden, clock, ask };
}

const isUnavailable = (error: unknown) => error instanceof RegistryError && error.status === 502;

test("upstream's word counts where there is one", async (t) => {
  const { hidden, fake, clock, ask } = await setUp(t);
  assert.deepEqual(await ask(), { kind: "asked", admission: "in" });
  hidden.push(APP.name);
  fake.expireTokens();
  clock.ms += MINUTES_MS;
  assert.deepEqual(await ask(), { kind: "asked", admission: "nameless" });
});

test("without it, what needed no credentials is open, and nothing is that did", async (t) => {
  const open = await setUp(t);
  await open.fake.stop();
  const admitted = await open.ask();
  assert.ok(admitted.kind === "held-only" && admitted.why === "unreachable");
  await assert.rejects(admitted.later(), isUnavailable);
  const closed = await setUp(t, { fetchedWith: "clients" });
  await closed.fake.stop();
  await assert.rejects(closed.ask(), isUnavailable);
});

test("what was found to be private is not open because upstream cannot be asked again", async (t) => {
  const { fake, hidden, clock, ask } = await setUp(t);
  hidden.push(APP.name);
  assert.deepEqual(await ask(), { kind: "asked", admission: "nameless" });
  await fake.stop();
  clock.ms += MINUTES_MS;
  await assert.rejects(ask(), isUnavailable);
});

test("a slow upstream is waited for as long as for a tag, where something is open", async (t) => {
  const { fake, ask } = await setUp(t, { askBudgetMs: 50 });
  const answer = Promise.withResolvers<void>();
  fake.script(
    { path: "/tags/list" },
    {
      kind: "answer",
      handler: async (_req, res) => answer.promise.then(() => void res.end('{"name":"org/app","tags":[]}')),
    },
  );
  const admitted = await ask();
  assert.ok(admitted.kind === "held-only" && admitted.why === "slow");
  answer.resolve();
  assert.equal(await admitted.later(), "in");
});
