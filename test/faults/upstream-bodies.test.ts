import assert from "node:assert/strict";
import { seededBytes } from "../support/bytes.ts";
import { REPOSITORY, startBench } from "./support/bench.ts";
import { pull, told } from "./support/ending.ts";
import { fault, inForm, isLong } from "./support/fault.ts";
import { mib, ms } from "./support/figures.ts";
import { hitsDuring, judgeHits } from "./support/hits.ts";
import { assertStoreIsRight } from "./support/stored.ts";

const MIB = 1024 * 1024;
const TENTHS = 10;
const BLOB_BYTES = inForm({ short: 1, long: 8 }) * MIB;
const SLACK_MS = inForm({ short: 15_000, long: 0 });
/** The longest that a question may take, whatever moves: `QUESTION_MAX_MS` of the upstream's gate. */
const QUESTION_MAX_MS = 60_000;
/** As `testRegistry` has it. */
const ASK_BUDGET_MS = 1_000;

fault(
  "upstream: reset at every 10 % of a blob",
  "right bytes within 5 s, what had come is not fetched again; held content in < 50 ms",
  async (t) => {
    const { upstream, url, held, dataDir } = await startBench(t);
    const blobs = Array.from({ length: TENTHS + 1 }, (_, tenth) => {
      const bytes = seededBytes(BLOB_BYTES, tenth);
      const digest = upstream.addBlob(REPOSITORY, bytes);
      upstream.script({ path: digest }, { kind: "reset", atByte: Math.floor((BLOB_BYTES * tenth) / TENTHS) });
      return { url: `${url}/blobs/${digest}`, bytes };
    });
    const pulling = Promise.all(blobs.map(async (one) => await pull(one.url, one.bytes)));
    t.show(judgeHits(await hitsDuring(held, pulling)));
    const endings = await pulling;
    for (const { how, afterMs } of endings) {
      assert.equal(how, "right");
      assert.ok(afterMs < 5_000 + SLACK_MS, `${afterMs} ms`);
    }
    t.show(`${endings.length} blobs of ${mib(BLOB_BYTES)} ${told(endings)}`);
    t.show(`${upstream.count({ ranged: true })} resumed by Range`);
    await assertStoreIsRight(dataDir);
  },
);

fault(
  "upstream: one blob, reset ten times on its way",
  "right bytes within 5 s, one request for each tenth",
  async (t) => {
    const { upstream, url } = await startBench(t);
    const bytes = seededBytes(BLOB_BYTES, "often");
    const digest = upstream.addBlob(REPOSITORY, bytes);
    const atByte = Math.ceil(BLOB_BYTES / TENTHS);
    upstream.script({ path: digest }, { kind: "reset", atByte, times: TENTHS });
    const ending = await pull(`${url}/blobs/${digest}`, bytes);
    assert.equal(ending.how, "right");
    assert.ok(ending.afterMs < 5_000 + SLACK_MS);
    t.show(`${told([ending])}, ${upstream.count({ path: digest })} requests`);
  },
);

fault(
  "upstream: 1 byte/s",
  "a held tag within ask_budget (1 s) and 0.5 s; a small blob right, as slow as it comes; a manifest 504 within 60 s",
  async (t) => {
    const { upstream, url, held, moving } = await startBench(t);
    const bytes = seededBytes(inForm({ short: 3, long: 20 }), "slow");
    const digest = upstream.addBlob(REPOSITORY, bytes);
    const cold = upstream.addImage(REPOSITORY, "cold");
    upstream.script({ role: "registry" }, { kind: "drip", bytesPerSecond: 1, times: Infinity });
    const blob = pull(`${url}/blobs/${digest}`, bytes);
    const manifest = isLong ? pull(`${url}/manifests/cold`, cold.bytes) : undefined;
    t.show(judgeHits(await hitsDuring(held, Promise.all([blob, manifest]))));
    assert.equal((await blob).how, "right");
    const stale = await pull(moving.url, moving.bytes);
    assert.equal(stale.how, "right");
    assert.ok(stale.afterMs < ASK_BUDGET_MS + 500 + SLACK_MS, ms(stale.afterMs));
    t.show(`a held tag that is to be asked for ${told([stale])}`);
    t.show(`a blob of ${bytes.length} bytes ${told([await blob])}`);
    if (manifest === undefined) return;
    const ending = await manifest;
    assert.match(ending.how, /^504 /);
    assert.ok(ending.afterMs < QUESTION_MAX_MS + 1_000, ms(ending.afterMs));
    t.show(`a manifest of ${cold.bytes.length} bytes ${told([ending])}`);
  },
);
