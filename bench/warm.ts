import { setTimeout as delay } from "node:timers/promises";
import type { Server } from "./candidates/candidate.ts";
import { blobPath, type Image, MANIFEST_TYPE, manifestPath } from "./fixtures.ts";
import { drain } from "./lib/net.ts";
import type { Upstream } from "./upstream.ts";

const TRIES_MAX = 50;
const TRY_AGAIN_MS = 200;

/**
 * Pulls the image until nothing is downloaded from upstream any more: registry:2 keeps a blob only some time after its
 * client had it.
 */
export async function warm(server: Server, upstream: Upstream, image: Image): Promise<void> {
  upstream.throttled = false;
  try {
    for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
      upstream.reset();
      await pull(server, image);
      if (![...upstream.traffic().downloads.keys()].some((path) => path.includes("sha256:"))) return;
      await delay(TRY_AGAIN_MS);
    }
  } finally {
    upstream.throttled = true;
  }
  throw new Error(`${server.url} does not keep what was pulled`);
}

async function pull(server: Server, image: Image): Promise<void> {
  const manifests = [manifestPath(image), manifestPath(image, image.manifest.digest)];
  const paths = [...manifests, ...[image.config, ...image.layers].map((blob) => blobPath(image, blob))];
  for (const path of paths) {
    const { status } = await drain(`${server.url}${path}`, { Accept: MANIFEST_TYPE });
    if (status !== 200) throw new Error(`${server.url}${path} answers ${status}`);
  }
}
