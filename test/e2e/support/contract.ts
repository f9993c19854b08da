import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import type { ImageName, Platform, PublishedImage } from "./images.ts";
import type { SeenRequest } from "./origin.ts";
import type { Tree } from "./tree.ts";
import type { World } from "./world.ts";

/** What is pulled: a tag, an index's digest or a single manifest's. */
export interface Version {
  readonly title: string;
  /** `:tag` or `@sha256:...`, to be put behind a repository's name. */
  readonly suffix: string;
  readonly platform: Platform;
}

/** One way in which a client can be pointed at the cache. */
export interface Shape {
  readonly title: string;
  readonly image: ImageName;
  /** Makes a client with an empty store. Its pulls see nothing of each other: every byte comes over the wire each time. */
  readonly client: (world: World) => Promise<Client>;
}

export interface Client {
  /** Pulls and unpacks; gives the files of the container's root. */
  pull(version: Version, image: PublishedImage): Promise<Tree>;
  stop(): Promise<void>;
}

/** All that can be asked for. */
function everyVersion(image: PublishedImage): Version[] {
  return [
    ...mainVersions(image),
    { title: "by tag, for another platform", suffix: `:${image.tag}`, platform: "arm64" },
    { title: "by a single manifest's digest", suffix: `@${image.platformDigests.amd64}`, platform: "amd64" },
  ];
}

/** What is enough where everything has been pulled before: an answer that may be stale, and one that cannot. */
function mainVersions({ tag, indexDigest }: PublishedImage): Version[] {
  return [
    { title: "by tag", suffix: `:${tag}`, platform: "amd64" },
    { title: "by the index's digest", suffix: `@${indexDigest}`, platform: "amd64" },
  ];
}

/**
 * What every client may expect: each shape pulls each version, then pulls again without the upstream, always the
 * files that were built; and the upstream hands out each blob once, whatever the number of clients, pulls and names.
 */
export function pullContract(world: () => World, shapes: readonly Shape[]): void {
  describe("through the cache", () => {
    for (const shape of shapes) pullsAll(world, shape, everyVersion);

    test("the upstream sent each blob and each manifest once", () => assertSentOnce(world()));
  });

  describe("with the upstream gone", () => {
    before(() => world().origin.stop());

    for (const shape of shapes) pullsAll(world, shape, mainVersions);
  });
}

function pullsAll(world: () => World, shape: Shape, versions: (image: PublishedImage) => Version[]): void {
  test(`${shape.title}: pulls by tag and by digest`, async (context) => {
    const { published } = world();
    const image = published.images[shape.image];
    const client = await shape.client(world());
    try {
      for (const version of versions(image)) {
        await context.test(version.title, async () => {
          assert.deepEqual(await client.pull(version, image), published.files[version.platform]);
        });
      }
    } finally {
      await client.stop();
    }
  });
}

/** The upstream sent something, and nothing twice. */
export async function assertSentOnce(world: World): Promise<void> {
  const sent = (await world.askedByCache()).filter(({ method, status }) => method === "GET" && status < 300);
  const blobs = sent.flatMap(digestAsked("blobs"));
  assert.notEqual(blobs.length, 0);
  assert.deepEqual(repeated(blobs), []);
  assert.deepEqual(repeated(sent.flatMap(digestAsked("manifests"))), []);
}

/** The digest that a request names in that collection. Manifests count by repository: each is asked for its own. */
function digestAsked(collection: "blobs" | "manifests"): (request: SeenRequest) => string[] {
  return ({ target }) => {
    const [, repository = "", digest] = /^\/v2\/(.+)\/(?:blobs|manifests)\/(sha256:[0-9a-f]{64})/.exec(target) ?? [];
    if (digest === undefined || !target.includes(`/${collection}/`)) return [];
    return collection === "blobs" ? [digest] : [`${repository}@${digest}`];
  };
}

function repeated(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}
