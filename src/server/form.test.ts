import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test, type TestContext } from "node:test";
import { RegistryError } from "../oci/errors.ts";
import { readForm } from "./form.ts";

const HEAD = "POST /token HTTP/1.1\r\nHost: a\r\n";

/** What becomes of a form that is sent as this text, and nothing after it. */
async function read(t: TestContext, text: string, msMax?: number): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const server = createServer((req) => void readForm(req, msMax).then((form) => resolve(form.toString()), resolve));
  t.after(() => void server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => client.destroy());
  client.write(text);
  return await promise;
}

test("a form is read whole, however it comes", async (t) => {
  assert.equal(await read(t, `${HEAD}Content-Length: 3\r\n\r\na=b`), "a=b");
  assert.equal(await read(t, `${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\n=b\r\n0\r\n\r\n`), "a=b");
});

test("one that is too long, by what it says or by what comes, is refused", async (t) => {
  for (const text of [
    `${HEAD}Content-Length: 16385\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n4001\r\n${"x".repeat(0x4001)}\r\n`,
  ]) {
    const error = await read(t, text);
    assert.ok(error instanceof RegistryError);
    assert.equal(error.status, 413);
  }
});

test("one that does not come to its end in time is refused", async (t) => {
  const error = await read(t, `${HEAD}Content-Length: 3\r\n\r\na`, 20);
  assert.ok(error instanceof RegistryError);
  assert.deepEqual([error.status, error.headers["Connection"]], [408, "close"]);
});
