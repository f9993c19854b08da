import { once } from "node:events";
import { connect } from "node:net";
import { request } from "undici";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "../fake-upstream.ts";
import { seededBytes, sha256 } from "../bytes.ts";

export const REPOSITORY = "library/thing";
export const BYTES = seededBytes(100_000, "blob");
export const DIGEST = sha256(BYTES);
export const BLOB = `/v2/${REPOSITORY}/blobs/${DIGEST}`;

/** A fake that has one blob. */
export async function start(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const fake = await startFakeUpstream(options);
  fake.addBlob(REPOSITORY, BYTES);
  return fake;
}

/** The whole of an answer, redirects not followed. */
export async function get(url: string, headers: Record<string, string> = {}, method: "GET" | "HEAD" | "POST" = "GET") {
  const { statusCode, headers: got, body } = await request(url, { method, headers });
  return { status: statusCode, headers: got, bytes: Buffer.from(await body.arrayBuffer()) };
}

/** What arrives of a body that never ends well, and how it ended. */
export async function broken(url: string, headers: Record<string, string> = {}) {
  const { statusCode, body } = await request(url, { headers });
  const pieces: Uint8Array[] = [];
  const failure = await (async () => {
    for await (const piece of body) pieces.push(piece as Uint8Array);
  })().catch((error: unknown) => error);
  return { status: statusCode, bytes: Buffer.concat(pieces), failed: failure instanceof Error };
}

/** An anonymous token for pulling from a repository. */
export async function anonymousToken(fake: FakeUpstream, repository = REPOSITORY): Promise<string> {
  const { bytes } = await get(`${fake.tokenUrl}?service=fake-registry&scope=repository:${repository}:pull`);
  return (JSON.parse(bytes.toString()) as { token: string }).token;
}

export const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

/** Everything that comes over one socket until its end, for answers that a client's parser refuses. */
export async function rawGet(fake: FakeUpstream, path: string): Promise<{ headers: string; size: number }> {
  const socket = connect(Number(new URL(fake.url).port), "127.0.0.1");
  const pieces: Buffer[] = [];
  socket.on("data", (piece: Buffer) => pieces.push(piece));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: fake\r\n\r\n`);
  await once(socket, "end");
  socket.destroy();
  const all = Buffer.concat(pieces);
  const bodyAt = all.indexOf("\r\n\r\n") + 4;
  return { headers: all.subarray(0, bodyAt).toString(), size: all.length - bodyAt };
}
