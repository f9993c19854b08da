import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import type { Origin } from "./origin.ts";
import type { Runner } from "./processes.ts";
import { find, toolPath } from "./tools.ts";
import { type Tree, treeOf } from "./tree.ts";

export const PLATFORMS = ["amd64", "arm64"] as const;
export type Platform = (typeof PLATFORMS)[number];

/** One name under which the image can be pulled. */
export interface PublishedImage {
  /** The registry as image references name it: `docker.io`. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly indexDigest: string;
  readonly platformDigests: Readonly<Record<Platform, string>>;
}

export interface Published {
  /** What a container of this image sees, file by file. */
  readonly files: Readonly<Record<Platform, Tree>>;
  readonly images: Readonly<Record<ImageName, PublishedImage>>;
}

const DATA_BYTES: Readonly<Record<Platform, number>> = { amd64: 6_000_000, arm64: 3_000_000 };
const SMALL_FILES = 200;

/** Manifests in both families: what Docker's own tools push, and what the others do. */
const NAMES = {
  hub: { registry: "docker.io", repository: "library/e2e", tag: "1", format: "oci" },
  ghcr: { registry: "ghcr.io", repository: "team/app", tag: "v1.2", format: "v2s2" },
  corp: { registry: "registry.corp.example", repository: "tools/lint/er", tag: "latest", format: "oci" },
} as const;

export type ImageName = keyof typeof NAMES;

const INDEX_TYPES =
  "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

const CONTAINERFILE = `FROM scratch
ARG TARGETARCH
COPY \${TARGETARCH}/bin /bin
COPY \${TARGETARCH}/data /data
COPY common /
CMD ["/bin/busybox", "sha256sum", "/data"]
`;

/** Builds an image of three layers for two platforms (one layer in common) and pushes it under several names. */
export async function publish(runner: Runner, origin: Origin): Promise<Published> {
  const context = path.join(runner.folder, "context");
  await writeContext(context);
  await writeFile(path.join(context, "Containerfile"), CONTAINERFILE);
  const storage = path.join(runner.folder, "build");
  const flags = ["--root", `${storage}/root`, "--runroot", `${storage}/run`, "--storage-driver", "vfs"];
  const buildah = (...args: string[]): Promise<string> => runner.run([toolPath("buildah"), ...flags, ...args]);
  for (const platform of PLATFORMS) {
    const target = ["--platform", `linux/${platform}`, "--build-arg", `TARGETARCH=${platform}`];
    await buildah("build", "--quiet", ...target, "--layers", "--manifest", "built", context);
  }
  for (const { repository, tag, format } of Object.values(NAMES)) {
    const to = `docker://${origin.host}/${repository}:${tag}`;
    await buildah("manifest", "push", "--quiet", "--all", "--tls-verify=false", "--format", format, "built", to);
  }
  const files = { amd64: await expectedTree(context, "amd64"), arm64: await expectedTree(context, "arm64") };
  await rm(storage, { recursive: true });
  const [hub, ghcr, corp] = await Promise.all([
    describe(origin, NAMES.hub),
    describe(origin, NAMES.ghcr),
    describe(origin, NAMES.corp),
  ]);
  return { files, images: { hub, ghcr, corp } };
}

async function writeContext(context: string): Promise<void> {
  const busybox = find("busybox");
  assert.ok(busybox !== undefined);
  await mkdir(`${context}/common/srv/notes`, { recursive: true });
  for (let n = 0; n < SMALL_FILES; n++) {
    await writeFile(`${context}/common/srv/notes/${n}.txt`, `note ${n}\n`.repeat(n + 1));
  }
  for (const platform of PLATFORMS) {
    await mkdir(`${context}/${platform}/bin`, { recursive: true });
    await writeFile(`${context}/${platform}/data`, incompressible(platform, DATA_BYTES[platform]));
  }
  await copyFile(busybox, `${context}/amd64/bin/busybox`);
  // Nothing runs this one: it stands for a binary of the other architecture.
  await writeFile(`${context}/arm64/bin/busybox`, incompressible("another machine's code", 500_000));
}

/** The files of the image's root for a platform, taken from what went into the build. */
async function expectedTree(context: string, platform: Platform): Promise<Tree> {
  const tree = { ...(await treeOf(`${context}/${platform}`)), ...(await treeOf(`${context}/common`)) };
  return Object.fromEntries(Object.entries(tree).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The same bytes at every run, which gzip cannot shrink: a layer keeps its size on the wire. */
function incompressible(seed: string, bytes: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

/** Reads the digests back from the upstream. */
async function describe(
  origin: Origin,
  { registry, repository, tag }: { registry: string; repository: string; tag: string },
): Promise<PublishedImage> {
  const url = `${origin.url}/v2/${repository}/manifests/${tag}`;
  const response = await fetch(url, { headers: { accept: INDEX_TYPES } });
  assert.equal(response.status, 200, url);
  const body = Buffer.from(await response.arrayBuffer());
  const { manifests } = JSON.parse(body.toString()) as {
    manifests: { digest: string; platform: { architecture: string } }[];
  };
  const digestFor = (platform: Platform): string => {
    const found = manifests.find((one) => one.platform.architecture === platform);
    assert.ok(found, `no ${platform} in ${url}`);
    return found.digest;
  };
  return {
    registry,
    repository,
    tag,
    indexDigest: `sha256:${createHash("sha256").update(body).digest("hex")}`,
    platformDigests: { amd64: digestFor("amd64"), arm64: digestFor("arm64") },
  };
}
