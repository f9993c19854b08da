import assert from "node:assert/strict";
import pLimit from "p-limit";
import { LATE, within } from "../../../src/lib/wait.ts";
import { type Answer, ask, open, readSome } from "../../support/client.ts";
import type { Content, Image, Origin } from "./images.ts";
import type { Random } from "./random.ts";

/** What clients have seen to be kept, and what upstream ever said: what must hold after a crash. */
export class Ledger {
  /** Images of which every part was answered as a hit: committed, whatever happens later. */
  readonly committed = new Set<Image>();
  /** Where a tag has pointed, in order, by `<repository>:<tag>`; the last one may be on its way to upstream. */
  readonly #moves = new Map<string, Image[]>();
  readonly #latest = new Map<string, Image>();
  /** The place in `#moves` of the latest image that a tag was seen to be held with. */
  readonly #heldAt = new Map<string, number>();
  readonly #oneByOne = pLimit(1);

  /** Moves upstream's tag to the image; one at a time. */
  async publish(image: Image, origin: Origin): Promise<void> {
    await this.#oneByOne(async () => {
      this.#moves.set(keyOf(image), [...(this.#moves.get(keyOf(image)) ?? []), image]);
      await origin.publish(image);
      this.#latest.set(keyOf(image), image);
    });
  }

  /** The images that the tags point to now. */
  get latest(): Image[] {
    return [...this.#latest.values()];
  }

  /** All that upstream has had for long enough to be asked for. */
  get images(): Image[] {
    return [...this.#moves].flatMap(([key, moves]) =>
      moves.slice(0, moves.indexOf(this.#latest.get(key) as Image) + 1),
    );
  }

  find(repository: string, digest: string): Image {
    const moves = [...this.#moves.values()].flat();
    const image = moves.find((one) => one.repository === repository && one.digest === digest);
    assert.ok(image !== undefined, `${repository}@${digest} is an image that upstream ever had`);
    return image;
  }

  tagHeld(image: Image): void {
    this.#heldAt.set(keyOf(image), Math.max(this.#placeOf(image), this.#heldAt.get(keyOf(image)) ?? 0));
  }

  /** A tag that was held must never point back. */
  assertNotBefore(image: Image, place: number): void {
    assert.ok(this.#placeOf(image) >= place, `${keyOf(image)} was newer already`);
  }

  /** Taken before a tag is asked for: what it was held with by then. */
  heldPlace(image: Image): number {
    return this.#heldAt.get(keyOf(image)) ?? 0;
  }

  get heldTags(): Image[] {
    return [...this.#heldAt].map(([key, place]) => this.#moves.get(key)?.[place] as Image);
  }

  #placeOf(image: Image): number {
    return (this.#moves.get(keyOf(image)) ?? []).indexOf(image);
  }
}

function keyOf({ repository, tag }: Image): string {
  return `${repository}:${tag}`;
}

export interface TrafficOptions {
  readonly url: string;
  readonly ledger: Ledger;
  readonly origin: Origin;
  readonly random: Random;
  /** Makes the next version of a repository's image. */
  readonly next: (repository: string) => Image;
  /** Hears of every piece of a body. */
  readonly onBytes?: (count: number) => void;
}

/** One client that does all sorts of things, one after the other, until `mayGoOn` says no or the cache is gone. */
export async function mixedClient(options: TrafficOptions, mayGoOn: () => boolean): Promise<number> {
  let done = 0;
  try {
    for (; mayGoOn(); done++) await oneDeed(options);
  } catch (error) {
    // Only a cache that was killed may leave its clients alone.
    if (mayGoOn()) throw error;
  }
  return done;
}

/** How a patient client's deeds ended that did not end well: the connection broke, or nothing came any more. */
export interface Broken {
  broken: number;
  silent: number;
}

/** As `mixedClient`, with connections that may break at any time: that ends a deed, wrong bytes end the test. */
export async function patientClient(options: TrafficOptions, mayGoOn: () => boolean): Promise<Broken> {
  const ends: Broken = { broken: 0, silent: 0 };
  while (mayGoOn()) {
    try {
      const deed = oneDeed(options);
      // A deed that was given up fails later, when nobody listens any more.
      deed.catch(() => undefined);
      if ((await within(deed, DEED_MS_MAX)) === LATE) ends.silent += 1;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && BROKEN_CODES.has(String(error.code)))) throw error;
      ends.broken += 1;
    }
  }
  return ends;
}

/** What no deed takes on the busiest machine. */
const DEED_MS_MAX = 20_000;
const BROKEN_CODES: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

async function oneDeed(options: TrafficOptions): Promise<void> {
  const { ledger, random } = options;
  const image = random.pick(ledger.latest);
  const blob = random.pick(image.blobs);
  switch (random.below(10)) {
    case 0:
      return await abort(options, image, blob);
    case 1:
      return await range(options, image, blob);
    case 2:
      return await head(options, image, blob);
    case 3:
      return await moveTag(options, image.repository);
    case 4:
      return void (await ask(`${options.url}/v2/${image.repository}/tags/list`));
    case 5:
      return await pullByDigest(options, random.pick(ledger.images));
    default:
      return await pullByTag(options, image);
  }
}

/** As clients do: the manifest, then everything that it names at once. What was all hits is noted as committed. */
export async function pullByTag(options: TrafficOptions, asked: Image): Promise<void> {
  const heldPlace = options.ledger.heldPlace(asked);
  const manifest = await whole(options, asked.repository, `manifests/${asked.tag}`);
  const image = options.ledger.find(asked.repository, String(manifest.headers["docker-content-digest"]));
  same(manifest, image);
  options.ledger.assertNotBefore(image, heldPlace);
  const blobsAreHits = await pullBlobs(options, image);
  if (!isHit(manifest)) return;
  options.ledger.tagHeld(image);
  if (blobsAreHits) options.ledger.committed.add(image);
}

export async function pullByDigest(options: TrafficOptions, image: Image): Promise<void> {
  const manifest = await whole(options, image.repository, `manifests/${image.digest}`);
  same(manifest, image);
  if ((await pullBlobs(options, image)) && isHit(manifest)) options.ledger.committed.add(image);
}

async function pullBlobs(options: TrafficOptions, image: Image): Promise<boolean> {
  const hits = image.blobs.map(async (blob) => {
    const answer = await whole(options, image.repository, `blobs/${blob.digest}`);
    same(answer, blob);
    return isHit(answer);
  });
  return (await Promise.all(hits)).every((hit) => hit);
}

async function range(options: TrafficOptions, image: Image, { digest, bytes }: Content): Promise<void> {
  const start = options.random.below(bytes.length);
  const end = Math.min(bytes.length, start + 1 + options.random.below(bytes.length));
  const answer = await whole(options, image.repository, `blobs/${digest}`, { range: `bytes=${start}-${end - 1}` });
  assert.equal(answer.status, 206);
  assert.ok(answer.body.equals(bytes.subarray(start, end)), `bytes ${start}-${end - 1} of ${digest}`);
}

async function head({ url }: TrafficOptions, image: Image, { digest, bytes }: Content): Promise<void> {
  const answer = await ask(`${url}/v2/${image.repository}/blobs/${digest}`, { method: "HEAD" });
  assert.equal(answer.status, 200);
  assert.equal(Number(answer.headers["content-length"]), bytes.length);
}

async function abort({ url, random }: TrafficOptions, image: Image, { digest, bytes }: Content): Promise<void> {
  const response = await open(`${url}/v2/${image.repository}/blobs/${digest}`);
  response.on("error", () => undefined);
  await readSome(response, random.below(bytes.length));
  response.destroy();
}

async function moveTag(options: TrafficOptions, repository: string): Promise<void> {
  const image = options.next(repository);
  await options.ledger.publish(image, options.origin);
  await pullByTag(options, image);
}

async function whole(
  { url, onBytes }: TrafficOptions,
  repository: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await open(`${url}/v2/${repository}/${path}`, { headers });
  const pieces: Buffer[] = [];
  for await (const piece of response) {
    pieces.push(piece as Buffer);
    onBytes?.((piece as Buffer).length);
  }
  const body = Buffer.concat(pieces);
  const status = response.statusCode ?? 0;
  assert.ok(status === 200 || status === 206, `${repository}/${path}: ${status} ${body.subarray(0, 300).toString()}`);
  assert.ok(response.complete, `${repository}/${path} broke off after ${body.length} bytes`);
  return { status, headers: response.headers, body, isWhole: true };
}

function same(answer: Answer, { digest, bytes }: Content): void {
  assert.ok(answer.body.equals(bytes), `${digest}: ${answer.body.length} bytes, and not the right ones`);
}

export function isHit({ headers }: Pick<Answer, "headers">): boolean {
  return /; hit\b/.test(String(headers["cache-status"]));
}
