/** One line of JSON after the other, each made when it is asked for. */
export function ndjson(lines: AsyncIterable<unknown>): Response {
  return streamOf(lines, "application/x-ndjson", (line) => `${JSON.stringify(line)}\n`);
}

/** A body in pieces; whoever leaves ends what makes them. */
export function streamOf<T>(all: AsyncIterable<T>, contentType: string, textOf: (one: T) => string): Response {
  return new Response(ReadableStream.from(bytesOf(all, textOf)), { headers: { "Content-Type": contentType } });
}

async function* bytesOf<T>(all: AsyncIterable<T>, textOf: (one: T) => string): AsyncGenerator<Uint8Array> {
  for await (const one of all) yield Buffer.from(textOf(one));
}
