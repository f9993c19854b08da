import { randomUUID } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { contentRange, parseRange, type RangeRequest } from "../oci/range.ts";
import type { ByteReader, Span } from "../pull/bytes.ts";
import type { Exchange } from "./exchange.ts";
import { sendHead } from "./respond.ts";
import { sendAside, sendBytes, streamSpan } from "./stream.ts";

/** Content that is addressed by its digest: a manifest or a blob. */
export interface Content {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly mediaType: string;
  /** What happened, as headers. */
  readonly headers: Record<string, string>;
  /** Whether several parts can be had at once; otherwise a request for them is answered with the whole. */
  readonly isHeld: boolean;
  open(span: Span): Promise<ByteReader>;
  /** The whole of it, where it is in memory: it is then sent as it is, and `open` is for several parts only. */
  readonly bytes?: Uint8Array | undefined;
}

/** Answers GET or HEAD with conditions and ranges (RFC 9110, sections 13 and 14). */
export async function sendContent(exchange: Exchange, content: Content): Promise<void> {
  const { req, res, isHead } = exchange;
  const headers = {
    "Docker-Content-Digest": content.digest,
    ETag: `"${content.digest}"`,
    "Accept-Ranges": "bytes",
    "X-Content-Type-Options": "nosniff",
    ...content.headers,
  };
  if (matches(req.headers["if-none-match"], content.digest)) {
    sendHead(exchange, 304, headers);
    res.end();
    return;
  }
  const range = isHead ? { kind: "whole" as const } : rangeOf(exchange, content);
  switch (range.kind) {
    case "unsatisfiable":
      throw new RegistryError(416, "RANGE_INVALID", `no byte of that range is among the ${content.size}`, {
        headers: { "Content-Range": `bytes */${content.size}` },
      });
    case "many":
      await sendParts(exchange, content, headers, range.ranges);
      return;
    case "one":
      await sendSpan(exchange, content, { start: range.start, end: range.end + 1 }, 206, {
        ...headers,
        "Content-Range": contentRange(range.start, range.end, content.size),
      });
      return;
    case "whole":
      await sendSpan(exchange, content, { start: 0, end: content.size }, 200, headers);
  }
}

/** A client that asks for several parts takes the whole instead, but never a single part (containers/image, zstd:chunked). */
function rangeOf({ req }: Exchange, content: Content): RangeRequest {
  const ifRange = req.headers["if-range"];
  if (ifRange !== undefined && ifRange !== `"${content.digest}"`) return { kind: "whole" };
  const range = parseRange(req.headers.range, content.size);
  return range.kind === "many" && !content.isHeld ? { kind: "whole" } : range;
}

/** `If-None-Match`: a list of entity tags, weak ones compare as strong ones do here, or `*`. */
function matches(header: string | undefined, digest: Digest): boolean {
  if (header === undefined) return false;
  return header.split(",").some((one) => {
    const tag = one.trim().replace(/^W\//, "");
    return tag === "*" || tag === `"${digest}"` || tag === digest;
  });
}

async function sendSpan(
  exchange: Exchange,
  content: Content,
  span: Span,
  status: number,
  headers: Record<string, string>,
): Promise<void> {
  const { res, isHead } = exchange;
  const head = () =>
    sendHead(exchange, status, {
      ...headers,
      "Content-Type": content.mediaType,
      "Content-Length": span.end - span.start,
    });
  if (isHead) {
    head();
    res.end();
    return;
  }
  if (content.bytes !== undefined) {
    head();
    await sendBytes(exchange, content.bytes.subarray(span.start, span.end));
    return;
  }
  const reader = await content.open(span);
  try {
    await streamSpan(exchange, reader, span, head);
    res.end();
  } finally {
    await reader.close();
  }
}

/** `multipart/byteranges` (RFC 9110, section 14.6), with its exact length since nothing is ever chunked. */
async function sendParts(
  exchange: Exchange,
  content: Content,
  headers: Record<string, string>,
  ranges: readonly { start: number; end: number }[],
): Promise<void> {
  const boundary = randomUUID();
  const parts = ranges.map(({ start, end }) => ({
    span: { start, end: end + 1 },
    head: Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: ${content.mediaType}\r\n` +
        `Content-Range: ${contentRange(start, end, content.size)}\r\n\r\n`,
    ),
  }));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const total = parts.reduce((sum, { span, head }) => sum + head.length + span.end - span.start, tail.length);
  sendHead(exchange, 206, {
    ...headers,
    "Content-Type": `multipart/byteranges; boundary=${boundary}`,
    "Content-Length": total,
  });
  for (const { span, head } of parts) {
    const reader = await content.open(span);
    try {
      await streamSpan(exchange, reader, span, () => sendAside(exchange, head));
    } finally {
      await reader.close();
    }
  }
  await sendBytes(exchange, tail);
}
