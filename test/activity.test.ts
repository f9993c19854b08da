import assert from "node:assert/strict";
import { test } from "node:test";
import { type ApiSite, startApiSite } from "./support/api-site.ts";
import { seededBytes } from "./support/bytes.ts";
import { open, readSome } from "./support/client.ts";
import { eventually } from "./support/open-files.ts";

const KB = 1_000;
const BLOB_GET = { method: "GET", path: "/blobs/" } as const;

interface Activity {
  readonly fills: readonly { readonly state: string; readonly readers: number }[];
}

async function fillsOf(site: ApiSite): Promise<{ state: string; readers: number }[]> {
  const answer = await site.ask("GET", "/api/v1/activity", { user: "ops" });
  return (JSON.parse(String(answer.body)) as Activity).fills.map(({ state, readers }) => ({ state, readers }));
}

test("whoever follows a fill is one reader of it", async (t) => {
  const site = await startApiSite(t, { access: { anonymous: true } });
  const digest = site.upstream.addBlob("library/app", seededBytes(1_000 * KB, "followed"));
  const rest = Promise.withResolvers<void>();
  site.upstream.script(BLOB_GET, { kind: "hold", atByte: 500 * KB, until: rest.promise });
  const pull = async () => {
    const response = await open(`${site.url}/v2/library/app/blobs/${digest}`);
    await readSome(response, 10 * KB);
    return response;
  };
  const first = await pull();
  assert.deepEqual(await fillsOf(site), [{ state: "filling", readers: 1 }]);
  const second = await pull();
  assert.deepEqual(await fillsOf(site), [{ state: "filling", readers: 2 }]);
  rest.resolve();
  for (const response of [first, second]) await response.toArray();
});

test("what is streamed through un-kept is told of until its reader has it", async (t) => {
  const site = await startApiSite(t, { access: { anonymous: true }, config: { maxSizeBytes: 100 * KB } });
  const bytes = seededBytes(1_000 * KB, "too large");
  const digest = site.upstream.addBlob("library/app", bytes);
  const rest = Promise.withResolvers<void>();
  // The fill's own, and that of the reader, who goes on by himself.
  for (const _ of ["fill", "reader"])
    site.upstream.script(BLOB_GET, { kind: "hold", atByte: 500 * KB, until: rest.promise });
  const response = await open(`${site.url}/v2/library/app/blobs/${digest}`);
  const pieces = [await readSome(response, 200 * KB)];
  assert.deepEqual(await fillsOf(site), [{ state: "unkept", readers: 1 }]);
  rest.resolve();
  for await (const piece of response) pieces.push(piece as Buffer);
  assert.ok(Buffer.concat(pieces).equals(bytes));
  await eventually(async () => (await fillsOf(site)).length === 0);
});
