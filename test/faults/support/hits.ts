import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { inForm, isLong } from "./fault.ts";
import { ms, percentile } from "./figures.ts";

/** What is held, and has to be served as it is. */
export interface HeldContent {
  readonly url: string;
  readonly bytes: Uint8Array;
}

/** Of the median; the 99th percentile is shown beside it, since two cores carry clients and upstream as well. */
export const HIT_BUDGET_MS = 50;
/** In the short form a machine under load must not fail it. */
const HIT_SHORT_BUDGET_MS = 5_000;
const HITS_MIN = inForm({ short: 60, long: 200 });
const CONNECTIONS = 4;
/** Between two hits of a client once there are enough of them: a fault that lasts a minute is watched, not drowned. */
const WATCH_PAUSE_MS = 20;

/** Asks for held content from `CONNECTIONS` clients, `HITS_MIN` times at least and until `lasting` has settled: milliseconds each. */
export async function hitsDuring(held: readonly HeldContent[], lasting: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const over = lasting.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const tookMs: number[] = [];
  const client = async (first: number) => {
    for (let turn = first; tookMs.length < HITS_MIN || !isOver; turn += 1) {
      const { url, bytes } = held[turn % held.length] as HeldContent;
      tookMs.push(await hit(agent, url, bytes));
      if (tookMs.length >= HITS_MIN) await delay(WATCH_PAUSE_MS);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, async (_, index) => await client(index)));
    await over;
  } finally {
    agent.destroy();
  }
  return tookMs;
}

async function hit(agent: Agent, url: string, bytes: Uint8Array): Promise<number> {
  const startedMs = performance.now();
  const sent = request(url, { agent });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const body = Buffer.concat((await response.toArray()) as Buffer[]);
  assert.equal(response.statusCode, 200, `${url}: ${body.toString("latin1", 0, 200)}`);
  assert.ok(body.equals(bytes), `${url}: other bytes`);
  return performance.now() - startedMs;
}

/** Judges them, and says them for the table. */
export function judgeHits(tookMs: readonly number[]): string {
  const medianMs = percentile(tookMs, 0.5);
  const budgetMs = isLong ? HIT_BUDGET_MS : HIT_SHORT_BUDGET_MS;
  assert.ok(medianMs < budgetMs, `held content took ${ms(medianMs)} (median), more than ${budgetMs} ms`);
  return `${tookMs.length} hits meanwhile: median ${ms(medianMs)}, p99 ${ms(percentile(tookMs, 0.99))}`;
}
