import assert from "node:assert/strict";
import { test } from "node:test";
import { startApiSite } from "./support/api-site.ts";
import { seededBytes } from "./support/bytes.ts";
import { open, readSome } from "./support/client.ts";

const KB = 1_000;
const BLOB_GET = { method: "GET", path: "/blobs/" } as const;

interface Activity {
  readonly fills: readonly { readonly state: string; readonly readers: number }[];
}

test("whoever follows a fill is one reader of it", async (t) => {
  const site = await startApiSite(t, { access: { anonymous: true } });
  const { url, upstream } = site;
  const digest = upstream.addBlob("library/app", seededBytes(1_000 * KB, "followed"));
  const rest = Promise.withResolvers<void>();
  upstream.script(BLOB_GET, { kind: "hold", atByte: 500 * KB, until: rest.promise });
  const pull = async () => {
    const response = await open(`${url}/v2/library/app/blobs/${digest}`);
    await readSome(response, 10 * KB);
    return response;
  };
  const fills = async () => {
    const answer = await site.ask("GET", "/api/v1/activity", { user: "ops" });
    return (JSON.parse(String(answer.body)) as Activity).fills.map(({ state, readers }) => ({ state, readers }));
  };
  const first = await pull();
  assert.deepEqual(await fills(), [{ state: "filling", readers: 1 }]);
  const second = await pull();
  assert.deepEqual(await fills(), [{ state: "filling", readers: 2 }]);
  rest.resolve();
  for (const response of [first, second]) await response.toArray();
});
