import { type IncomingMessage, request } from "node:http";
import { once } from "node:events";
import type { Digest } from "../../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { seededBytes, sha256 } from "../../support/bytes.ts";
import type { FakeUpstream } from "../../support/fake-upstream.ts";

export interface Content {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

/** A manifest and what it names, before any registry has it. */
export interface Image extends Content {
  readonly repository: string;
  readonly tag: string;
  /** Configuration and layers. */
  readonly blobs: readonly Content[];
}

/** Where images come from: scripted, or a real registry. */
export interface Origin {
  readonly url: string;
  /** Has the image from now on; its tag points to it. */
  publish(image: Image): Promise<void>;
}

export function contentOf(size: number, seed: string): Content {
  const bytes = seededBytes(size, seed);
  return { bytes, digest: sha256(bytes) };
}

export function imageOf(repository: string, tag: string, layers: readonly Content[]): Image {
  const config = jsonContent({
    os: "linux",
    architecture: "amd64",
    author: `${repository}:${tag}`,
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest = jsonContent({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptorOf("application/vnd.oci.image.config.v1+json", config),
    layers: layers.map((layer) => descriptorOf("application/vnd.oci.image.layer.v1.tar+gzip", layer)),
  });
  return { ...manifest, repository, tag, blobs: [config, ...layers] };
}

export function fakeOrigin(upstream: FakeUpstream): Origin {
  return {
    url: upstream.url,
    publish: async (image) => {
      for (const { bytes } of image.blobs) upstream.addBlob(image.repository, bytes);
      upstream.addManifest(image.repository, image.bytes, { tag: image.tag });
    },
  };
}

/** A registry that takes pushes. */
export function pushedOrigin(url: string): Origin {
  return {
    url,
    publish: async (image) => {
      const base = `${url}/v2/${image.repository}`;
      for (const blob of image.blobs) await pushBlob(base, blob);
      const put = await send("PUT", `${base}/manifests/${image.tag}`, image.bytes, OCI_MANIFEST);
      if (put.status !== 201) throw new Error(`pushing ${image.repository}:${image.tag} was answered ${put.status}`);
    },
  };
}

async function pushBlob(base: string, { digest, bytes }: Content): Promise<void> {
  const begun = await send("POST", `${base}/blobs/uploads/`, Buffer.alloc(0));
  const place = new URL(String(begun.location), base);
  place.searchParams.set("digest", digest);
  const put = await send("PUT", place.href, bytes, "application/octet-stream");
  if (put.status !== 201) throw new Error(`pushing ${digest} was answered ${put.status}`);
}

async function send(method: string, url: string, body: Buffer, type?: string) {
  const headers = { "content-length": body.length, ...(type === undefined ? {} : { "content-type": type }) };
  const sent = request(url, { method, headers });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  return { status: response.statusCode, location: response.headers.location };
}

function jsonContent(value: object): Content {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, digest: sha256(bytes) };
}

function descriptorOf(mediaType: string, { digest, bytes }: Content) {
  return { mediaType, digest, size: bytes.length };
}
