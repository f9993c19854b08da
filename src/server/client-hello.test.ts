import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { connect, type ConnectionOptions } from "node:tls";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import { HELLO_BYTES_MAX, readClientHello } from "./client-hello.ts";

/** What Node's own client says first. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const said = Promise.withResolvers<Buffer>();
  const wire = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, done) => {
      said.resolve(bytes);
      done();
    },
  });
  const socket = connect({ socket: wire, ...options }).on("error", () => undefined);
  try {
    return await said.promise;
  } finally {
    socket.destroy();
  }
}

const hellos = await Promise.all([
  helloOf({ servername: "Cache.Example.com", ALPNProtocols: ["acme-tls/1"] }),
  helloOf({ servername: "cache.example.com", ALPNProtocols: ["h2", "http/1.1"], maxVersion: "TLSv1.2" }),
  helloOf({ minVersion: "TLSv1.3" }),
]);

/** The same message in records of at most so many bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, piece.length >> 8, piece.length & 0xff]), piece);
  }
  return Buffer.concat(records);
}

test("says whom a client wants to speak to, and what", () => {
  assert.deepEqual(hellos.map(readClientHello), [
    { serverName: "cache.example.com", protocols: ["acme-tls/1"] },
    { serverName: "cache.example.com", protocols: ["h2", "http/1.1"] },
    { serverName: undefined, protocols: [] },
  ]);
});

test("a hello without extensions, as old clients have it, says nothing", () => {
  const body = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32), Buffer.from([0, 0, 2, 0x13, 0x01, 1, 0])]);
  const hello = Buffer.concat([Buffer.from([22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length]), body]);
  assert.deepEqual(readClientHello(hello), { serverName: undefined, protocols: [] });
});

test("every beginning of a hello is partial, in however many records it comes", () => {
  prove(
    fc.property(fc.constantFrom(...hellos), fc.integer({ min: 150, max: 600 }), fc.nat(2_000), (hello, size, cut) => {
      const spread = inRecords(hello, size);
      assert.deepEqual(readClientHello(spread), readClientHello(hello));
      const end = cut % spread.length;
      assert.equal(readClientHello(spread.subarray(0, end)), "partial");
    }),
  );
});

test("what follows a hello changes nothing", () => {
  prove(
    fc.property(fc.constantFrom(...hellos), fc.uint8Array({ maxLength: 100 }), (hello, more) => {
      assert.deepEqual(readClientHello(Buffer.concat([hello, more])), readClientHello(hello));
    }),
  );
});

test("whatever comes instead is no hello, and no error", () => {
  const texts = hellos.map((hello) => hello.toString("latin1"));
  prove(
    fc.property(fc.oneof(nearly(texts), fc.string({ unit: "binary" })), (text) => {
      const bytes = Buffer.from(text, "latin1");
      const read = readClientHello(bytes);
      if (typeof read === "string") return;
      assert.ok([read.serverName ?? "", ...read.protocols].join("").length < bytes.length);
    }),
  );
});

for (const [what, bytes] of [
  ["plain HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["one byte of plain HTTP", Buffer.from("G")],
  ["an alert", Buffer.from([21, 3, 1, 0, 2, 2, 40])],
  ["another handshake message", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
  ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
  ["a record that is too long", Buffer.from([22, 3, 1, 0x40, 1])],
  ["a hello that is too long", Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0x40, 1])],
  ["a hello that ends too early", Buffer.from([22, 3, 1, 0, 8, 1, 0, 0, 4, 3, 3, 0, 0])],
] as const) {
  test(`${what} is none`, () => assert.equal(readClientHello(bytes), "other"));
}

test("nobody can make us wait for more than the limit, or look at ever more records", () => {
  const [hello] = hellos;
  assert.equal(readClientHello(inRecords(hello, 1).subarray(0, 15 * 6)), "partial");
  assert.equal(readClientHello(inRecords(hello, 1)), "other");
  const size = HELLO_BYTES_MAX - 4;
  const long = inRecords(Buffer.concat([Buffer.alloc(5), Buffer.from([1, 0, size >> 8, size & 0xff])]), 4);
  assert.equal(readClientHello(long), "partial");
  const longer = inRecords(Buffer.concat([Buffer.alloc(5), Buffer.from([1, 0, size >> 8, (size & 0xff) + 1])]), 4);
  assert.equal(readClientHello(longer), "other");
});
