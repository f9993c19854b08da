import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RegistryConfig } from "../../src/config/config.ts";
import { freePort } from "../e2e/support/processes.ts";
import { toolPath } from "../e2e/support/tools.ts";
import { seededBytes } from "../support/bytes.ts";
import { type CacheProcess, startCacheProcess } from "../support/cache-process.ts";
import { testConfig, testRegistry } from "../support/cache.ts";
import { ask, open, readSome } from "../support/client.ts";
import { type HasAfter, tempDir } from "../support/temp.ts";
import { askUnread, begun, crowd, leave } from "./support/clients.ts";
import { untilRight } from "./support/cold.ts";
import { pull, told } from "./support/ending.ts";
import { fault, isLong } from "./support/fault.ts";
import { mib, ms } from "./support/figures.ts";
import { hitsDuring, judgeHits } from "./support/hits.ts";
import { startProgram, startRealRegistry } from "./support/real-registry.ts";
import { assertStoreIsRight } from "./support/stored.ts";
import { conditionOf, judgePace, judgeRemains } from "./support/unaffected.ts";

/** The same as with the fake, before Debian's `docker-registry`: only the long form needs that. */

const MIB = 1024 * 1024;
const REPOSITORY = "library/app";
const LARGE_BYTES = 256 * MIB;
const KILLS = 3;
const IMAGES = 12;
const ABORTS = 1_000;
const AT_ONCE = 10;

/** bcrypt of "before" and of "after"; they open nothing but a registry that lives for one test. */
const USERS_BEFORE = "somebody:$2b$05$abcdefghijklmnopqrstuumO.kQghB0UVlhL4l0laF42RR1G0NvMe\n";
const USERS_AFTER = "somebody:$2b$05$abcdefghijklmnopqrstuuS1/k8/NYCoqTnzv7uMQdn1HNU93Ud/u\n";
const basic = (password: string) => `Basic ${Buffer.from(`somebody:${password}`).toString("base64")}`;

interface RealBench {
  readonly cache: CacheProcess;
  readonly url: string;
  readonly dataDir: string;
}

async function startCacheBefore(
  t: HasAfter,
  upstream: string,
  differs: Partial<RegistryConfig> = {},
): Promise<RealBench> {
  const dataDir = await tempDir(t);
  const cache = await startCacheProcess(t, testConfig(dataDir, [testRegistry(upstream, differs)]));
  return { cache, dataDir, url: `${cache.url}/v2/${REPOSITORY}` };
}

if (isLong) {
  fault(
    "upstream: docker-registry, killed in mid-blob and started again, three times",
    "right bytes, at the latest when the client comes again; what had come is not fetched again",
    async (t) => {
      const registry = await startRealRegistry(t);
      const { url, dataDir } = await startCacheBefore(t, registry.url);
      let resumed = 0;
      const hows: string[] = [];
      for (let kill = 0; kill < KILLS; kill += 1) {
        const bytes = seededBytes(LARGE_BYTES, kill);
        const one = `${url}/blobs/${await registry.pushBlob(REPOSITORY, bytes)}`;
        const before = await registry.countAnswers(206);
        const response = await open(one);
        const first = await readSome(response, MIB);
        await registry.killAndRestart();
        const rest = await response.toArray().catch(() => undefined);
        if (rest !== undefined) assert.ok(Buffer.concat([first, ...(rest as Buffer[])]).equals(bytes));
        hows.push(rest === undefined ? "broken off" : "right");
        await untilRight(one, bytes, 60_000);
        resumed += (await registry.countAnswers(206)) - before;
      }
      assert.ok(resumed > 0);
      t.show(`${KILLS} blobs of ${mib(LARGE_BYTES)}: ${hows.join(", ")}, then right; ${resumed} resumed by Range`);
      await assertStoreIsRight(dataDir);
    },
  );

  fault(
    "limits: docker-registry behind nginx's limit_req (2 requests/s)",
    "patient clients get everything; held content served",
    async (t) => {
      const registry = await startRealRegistry(t);
      const limiter = await startLimiter(t, registry.url);
      const { url } = await startCacheBefore(t, limiter.url);
      const images = await Promise.all(
        Array.from({ length: IMAGES }, async (_, index) => ({
          url: `${url}/manifests/${index}`,
          bytes: await registry.pushImage(REPOSITORY, String(index), seededBytes(1_000, index)),
        })),
      );
      const [held, ...cold] = images as [(typeof images)[number], ...typeof images];
      await untilRight(held.url, held.bytes, 60_000);
      const pulling = Promise.all(cold.map(async (one) => await untilRight(one.url, one.bytes, 120_000)));
      t.show(judgeHits(await hitsDuring([held], pulling)));
      const refused = await limiter.countRefused();
      assert.ok(refused > 0);
      t.show(
        `${cold.length} manifests, ${refused} requests refused, the last one right after ${ms(Math.max(...(await pulling)))}`,
      );
    },
  );

  fault(
    "tokens: docker-registry's password is changed mid-way (Basic)",
    "403 for what is not held, and for a held tag that is to be asked for; right again with the new password",
    async (t) => {
      const registry = await startRealRegistry(t, { users: USERS_BEFORE });
      const tags = [{ match: "*", revalidate: { kind: "always" } }] as const;
      const credentials = { kind: "basic", username: "somebody", password: "before" } as const;
      const { url, cache, dataDir } = await startCacheBefore(t, registry.url, { credentials, tags });
      const held = await registry.pushImage(REPOSITORY, "held", seededBytes(1_000, 1), basic("before"));
      const cold = await registry.pushImage(REPOSITORY, "cold", seededBytes(1_000, 2), basic("before"));
      assert.equal((await pull(`${url}/manifests/held`, held)).how, "right");
      await registry.setUsers(USERS_AFTER);
      const denied = await Promise.all([pull(`${url}/manifests/held`, held), pull(`${url}/manifests/cold`, cold)]);
      assert.deepEqual(
        denied.map(({ how }) => how),
        ["403 DENIED", "403 DENIED"],
      );
      t.show(told(denied));
      assert.equal(await cache.terminate(), 0);
      const renewed = { credentials: { ...credentials, password: "after" }, tags };
      const again = await startCacheProcess(t, testConfig(dataDir, [testRegistry(registry.url, renewed)]));
      const endings = [];
      for (const [tag, bytes] of [["held", held] as const, ["cold", cold] as const]) {
        endings.push(await pull(`${again.url}/v2/${REPOSITORY}/manifests/${tag}`, bytes));
      }
      assert.ok(endings.every(({ how }) => how === "right"));
      t.show(`with the new password ${told(endings)}`);
    },
  );

  fault(
    "clients: 1,000 aborts in mid-body of cold blobs of docker-registry",
    "memory flat, descriptors return to base, others unaffected; then right for who waits",
    async (t) => {
      const registry = await startRealRegistry(t);
      const { url, cache } = await startCacheBefore(t, registry.url);
      const add = async (seed: string, size: number) => {
        const bytes = seededBytes(size, seed);
        return { url: `${url}/blobs/${await registry.pushBlob(REPOSITORY, bytes)}`, bytes };
      };
      const good = await add("good", 4 * MIB);
      const abort = async (one: string) => {
        const socket = await askUnread(one);
        await begun(socket);
        await leave(socket);
      };
      const blobs = await Promise.all(Array.from({ length: 20 }, async (_, index) => await add(`${index}`, 8 * MIB)));
      const aborts = async (some: typeof blobs) =>
        await crowd(
          ABORTS / 2,
          AT_ONCE,
          async (index) => await abort((some[index % some.length] as (typeof blobs)[0]).url),
        );
      await aborts(blobs.slice(0, 10));
      const before = await conditionOf(cache.pid, good);
      const aborting = aborts(blobs.slice(10));
      t.show(judgePace(before, await conditionOf(cache.pid, good), AT_ONCE));
      await aborting;
      for (const one of blobs) assert.equal((await pull(one.url, one.bytes)).how, "right");
      t.show(await judgeRemains(cache.pid, before));
      assert.equal((await ask(`${cache.url}/healthz`)).status, 200);
    },
  );
}

interface Limiter {
  readonly url: string;
  countRefused(): Promise<number>;
}

/** nginx, which lets 2 requests a second through and answers 429 to the others. */
async function startLimiter(t: HasAfter, registry: string): Promise<Limiter> {
  const folder = await tempDir(t);
  const url = `http://127.0.0.1:${await freePort()}`;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const text = `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log; events {}
http {
  log_format status "$status";
  access_log ${folder}/access.log status;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
  limit_req_zone $server_name zone=all:1m rate=2r/s;
  server {
    listen ${new URL(url).host};
    server_name limited;
    limit_req zone=all burst=1 nodelay;
    limit_req_status 429;
    add_header Retry-After 1 always;
    location / { proxy_pass ${registry}; }
  }
}
`;
  await writeFile(join(folder, "nginx.conf"), text);
  const command = [toolPath("nginx"), "-e", `${folder}/error.log`, "-c", `${folder}/nginx.conf`];
  await startProgram(t, command, url, join(folder, "nginx.log"));
  const statuses = async () => (await readFile(join(folder, "access.log"), "utf8")).split("\n");
  return { url, countRefused: async () => (await statuses()).filter((status) => status === "429").length };
}
