import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { keptBytes } from "./faults/support/folder-size.ts";
import { contentOf, fakeOrigin, type Image, imageOf } from "./faults/support/images.ts";
import { ask } from "./support/client.ts";
import { runCommand, startCommand } from "./support/command.ts";
import { parseExposition, valueOf } from "./support/exposition.ts";
import { type FakeUpstream, startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

/** The figures that a person would compare. */
interface Figures {
  readonly pulls: number;
  readonly bytesServed: number;
  readonly bytesFetched: number;
  readonly bytesHeld: number;
  readonly evictions: number;
  readonly bytesEvicted: number;
}

/** What is in a status, as the API tells it. */
interface Status {
  readonly held: { readonly bytes: number; readonly partialBytes: number };
  readonly activity: { readonly fillCount: number };
  readonly counts: {
    readonly pulls: number;
    readonly bytesServed: Readonly<Record<string, number>>;
    readonly bytesFetched: number;
    readonly evictions: number;
    readonly bytesEvicted: number;
  };
}

function figuresOf({ held, counts }: Status): Figures {
  return {
    pulls: counts.pulls,
    bytesServed: Object.values(counts.bytesServed).reduce((sum, bytes) => sum + bytes, 0),
    bytesFetched: counts.bytesFetched,
    bytesHeld: held.bytes,
    evictions: counts.evictions,
    bytesEvicted: counts.bytesEvicted,
  };
}

function figuresIn(text: string): Figures {
  const families = parseExposition(text);
  const of = (name: string) => valueOf(families, `registry_cache_${name}`);
  return {
    pulls: of("pulls_total"),
    bytesServed: of("served_bytes_total"),
    bytesFetched: of("fetched_bytes_total"),
    bytesHeld: of("stored_bytes"),
    evictions: of("evicted_images_total"),
    bytesEvicted: of("evicted_bytes_total"),
  };
}

/** A client that keeps its own books. */
class Client {
  bytes = 0;
  pulls = 0;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async pull({ repository, tag, bytes, blobs }: Image): Promise<void> {
    this.pulls += 1;
    await this.#get(`${repository}/manifests/${tag}`, bytes);
    await Promise.all(blobs.map(async (blob) => await this.#get(`${repository}/blobs/${blob.digest}`, blob.bytes)));
  }

  async #get(path: string, expected: Buffer): Promise<void> {
    const answer = await ask(`${this.#url}/v2/${path}`);
    assert.equal(answer.status, 200, path);
    assert.ok(answer.body.equals(expected), path);
    this.bytes += answer.body.length;
  }
}

/** Bodies of everything that was asked for, as the upstream itself has counted them. */
function sentBy(upstream: FakeUpstream): number {
  return upstream.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
}

const LAYER_BYTES = 400_000;
const BUDGET = "3MB";
const IMAGES = 12;

for (const workers of [1, 2]) {
  test(`command line, API, metrics and a count by hand agree to the byte, ${workers} of workers`, async (t) => {
    await using upstream = await startFakeUpstream();
    const cwd = await tempDir(t);
    const config =
      `listen: 127.0.0.1:0\ndata_dir: data\nmin_free_disk: 0B\nmax_size: ${BUDGET}\nworkers: ${workers}\n` +
      `log: {format: json}\nregistries: {dockerhub: {upstream: "${upstream.url}"}}\n`;
    await writeFile(join(cwd, "registry-cache.yaml"), config);
    const serving = startCommand(t, ["serve"], { cwd });
    const [, url = ""] = await serving.said(/"urls":\["(http:\/\/[^"]+)/);
    const client = new Client(url);
    const base = contentOf(100_000, "base");
    const images = Array.from({ length: IMAGES }, (_, at) =>
      imageOf("library/app", `t${at}`, [base, contentOf(LAYER_BYTES + at, `own ${at}`)]),
    );
    for (const image of images) await fakeOrigin(upstream).publish(image);
    for (const image of [...images, ...images.slice(-3), ...images.slice(0, 2)]) await client.pull(image);

    const status = async () => (await (await fetch(`${url}/api/v1/status`)).json()) as Status;
    // Fronts tell what they have served once a second.
    await eventually(async () => {
      const now = await status();
      return now.activity.fillCount === 0 && figuresOf(now).bytesServed >= client.bytes;
    });
    const dataDir = join(cwd, "data");
    const byApi = await status();
    const byCommand = await runCommand(t, ["status", "--json"], { cwd });
    assert.equal(byCommand.exitCode, 0, byCommand.err);
    const byMetrics = await (await fetch(`${url}/metrics`)).text();
    const { evictions, bytesEvicted, ...counted } = figuresOf(byApi);
    assert.deepEqual(counted, {
      pulls: client.pulls,
      bytesServed: client.bytes,
      bytesFetched: sentBy(upstream),
      bytesHeld: await keptBytes(dataDir),
    });
    assert.equal(byApi.held.partialBytes, 0);
    assert.ok(
      evictions > 0 && bytesEvicted > evictions * LAYER_BYTES,
      `${evictions} evictions of ${bytesEvicted} bytes`,
    );
    assert.deepEqual(figuresOf(JSON.parse(byCommand.out) as Status), figuresOf(byApi));
    assert.deepEqual(figuresIn(byMetrics), figuresOf(byApi));

    assert.equal(
      byApi.held.bytes,
      byApi.counts.bytesFetched - bytesEvicted,
      "what was fetched and not evicted is held",
    );

    const list = await runCommand(t, ["ls", "--json"], { cwd });
    const listed = (JSON.parse(list.out) as { images: { tags: { tag: string }[]; size: number; own: number }[] })
      .images;
    const distinct = listed.reduce((sum, { own }) => sum + own, 0) + (listed.length > 1 ? base.bytes.length : 0);
    assert.equal(distinct, byApi.held.bytes, "what images have of their own, and the layer that all of them share");

    serving.signal("SIGTERM");
    assert.equal((await serving.ended()).exitCode, 0);
    const again = startCommand(t, ["serve"], { cwd });
    const [, urlAgain = ""] = await again.said(/"urls":\["(http:\/\/[^"]+)/);
    const afterwards = (await (await fetch(`${urlAgain}/api/v1/status`)).json()) as Status;
    assert.deepEqual(figuresOf(afterwards), figuresOf(byApi), "after a restart");
    again.signal("SIGTERM");
    await again.ended();
  });
}
