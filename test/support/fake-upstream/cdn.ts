import { randomBytes } from "node:crypto";
import { type Answer, type FakeRequest, EMPTY, bodyOf } from "./answer.ts";
import type { Content } from "./content.ts";
import type { FakeUpstreamOptions } from "./types.ts";

interface Signature {
  readonly method: string;
  readonly digest: string;
  usesLeft: number;
}

const SIGNED_FOR_S = 300;

/** Signed URLs in the way of S3: bound to the method, alive for minutes, and no Authorization beside them. */
export class SignedUrls {
  readonly #options: FakeUpstreamOptions;
  readonly #content: Content;
  readonly #origin: string;
  readonly #signatures = new Map<string, Signature>();

  constructor(options: FakeUpstreamOptions, content: Content, origin: string) {
    this.#options = options;
    this.#content = content;
    this.#origin = origin;
  }

  sign(method: string, digest: string): string {
    const sig = randomBytes(16).toString("hex");
    this.#signatures.set(sig, { method, digest, usesLeft: this.#options.signedUrlUses ?? Infinity });
    return `${this.#origin}/data/${digest}?sig=${sig}&exp=${Math.floor(Date.now() / 1000) + SIGNED_FOR_S}`;
  }

  expire(): void {
    this.#signatures.clear();
  }

  answer(request: FakeRequest): Answer {
    if (request.headers.authorization !== undefined) return xml(400, "InvalidArgument");
    const { cdnHead } = this.#options;
    if (request.method === "HEAD" && cdnHead !== undefined && cdnHead !== 200) return xml(cdnHead, "AccessDenied");
    const digest = decodeURIComponent(request.url.pathname.slice("/data/".length));
    if (!this.#use(request, digest)) return xml(403, "AccessDenied");
    const bytes = this.#content.bytes(digest);
    if (bytes === undefined) return xml(404, "NoSuchKey");
    const headers = { "content-type": "binary/octet-stream", "accept-ranges": "bytes", etag: `"${digest.slice(-32)}"` };
    return { status: 200, headers, body: bodyOf(bytes), rangeable: true };
  }

  #use(request: FakeRequest, digest: string): boolean {
    const signature = this.#signatures.get(request.url.searchParams.get("sig") ?? "");
    if (signature === undefined || signature.digest !== digest || signature.method !== request.method) return false;
    signature.usesLeft -= 1;
    return signature.usesLeft >= 0;
  }
}

export function xml(status: number, code: string): Answer {
  const body = code === "" ? EMPTY : bodyOf(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
  return { status, headers: { "content-type": "application/xml" }, body };
}
