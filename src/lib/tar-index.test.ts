import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { tarEntry, tarOf } from "../../test/support/foreign.ts";
import { prove } from "../../test/support/property.ts";
import { TarError, type TarFile, tarFiles } from "./tar-index.ts";

async function filesIn(tar: Buffer): Promise<TarFile[]> {
  const found: TarFile[] = [];
  for await (const file of tarFiles(async (buffer, at) => tar.copy(buffer, 0, at), tar.length)) found.push(file);
  return found;
}

function textsIn(tar: Buffer, files: readonly TarFile[]): Record<string, string> {
  return Object.fromEntries(files.map(({ name, offset, size }) => [name, tar.toString("utf8", offset, offset + size)]));
}

function pax(records: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    const bytes = Buffer.byteLength(rest);
    const length = bytes + String(bytes + String(bytes).length).length;
    return `${length}${rest}`;
  });
  return tarEntry("pax", Buffer.from(lines.join("")), "x");
}

suite("the files of a tar", () => {
  test("are found where they lie, folders and links left out", async () => {
    const tar = Buffer.concat([
      tarEntry("./a", Buffer.from("first")),
      tarEntry("folder/", Buffer.alloc(0), "5"),
      tarEntry("link", Buffer.alloc(0), "2"),
      tarEntry("same", Buffer.alloc(0), "1"),
      tarEntry("folder/b", Buffer.from("x".repeat(1_000))),
      Buffer.alloc(1024),
      tarEntry("after the end", Buffer.from("x")),
    ]);
    assert.deepEqual(textsIn(tar, await filesIn(tar)), { a: "first", "folder/b": "x".repeat(1_000) });
  });

  test("may have long names, in both ways in which these are written", async () => {
    const long = `blobs/sha512/${"a".repeat(128)}`;
    for (const before of [
      pax({ path: long, mtime: "1.5" }),
      tarEntry("././@LongLink", Buffer.from(`${long}\0`), "L"),
    ]) {
      const tar = Buffer.concat([before, tarEntry("short", Buffer.from("x")), tarEntry("next", Buffer.from("y"))]);
      assert.deepEqual(textsIn(tar, await filesIn(tar)), { [long]: "x", next: "y" });
    }
  });

  test("may have sizes that octal digits do not hold, which are believed no further than the end", async () => {
    const large = tarEntry("large", Buffer.from("x"));
    large.writeBigUInt64BE(BigInt(9 * 1024 ** 3), 128);
    large[124] = 0x80;
    large.fill(0, 125, 128);
    large.write("        ", 148);
    const sum = large.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    large.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    await assert.rejects(filesIn(large), /ends within "large"/);
    const sized = Buffer.concat([pax({ size: "9000000000" }), tarEntry("large", Buffer.from("x"))]);
    await assert.rejects(filesIn(sized), /ends within "large"/);
  });

  test("are none in what is no tar, and an error in what is cut short", async () => {
    assert.deepEqual(await filesIn(Buffer.alloc(0)), []);
    assert.deepEqual(await filesIn(Buffer.alloc(10_240)), []);
    await assert.rejects(filesIn(Buffer.from("x".repeat(1_024))), TarError);
    await assert.rejects(filesIn(tarOf({ a: Buffer.alloc(2_000) }).subarray(0, 1_024)), TarError);
    await assert.rejects(filesIn(tarOf({ a: Buffer.alloc(2_000) }).subarray(0, 100)), TarError);
    await assert.rejects(filesIn(Buffer.concat([tarEntry("x", Buffer.from("5 a=b\n"), "x")])), TarError);
  });

  test("are told from anything without an endless loop, a crash, or a place outside of it", async () => {
    const good = Buffer.concat([pax({ path: "p" }), tarOf({ a: Buffer.from("one"), b: Buffer.alloc(700) })]);
    const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 });
    await prove(
      fc.asyncProperty(edits, fc.nat(good.length), async (changes, length) => {
        const tar = Buffer.from(good.subarray(0, length));
        for (const [at, byte] of changes) if (at < length) tar[at] = byte;
        try {
          for (const { offset, size } of await filesIn(tar)) {
            assert.ok(offset >= 512 && size >= 0 && offset + size <= tar.length);
          }
        } catch (error) {
          assert.ok(error instanceof TarError, String(error));
        }
      }),
    );
  });
});
