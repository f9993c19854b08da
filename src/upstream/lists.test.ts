import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "../../test/support/fake-upstream.ts";
import { failsAs, name, patient, startBench } from "../../test/support/upstreams.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { OCI_MANIFEST } from "../oci/media-types.ts";
import { REFERRERS_PAGES_MAX, TAG_PAGES_MAX } from "./lists.ts";

const app = name("team/app");

function page(body: unknown, link?: string): Fault {
  return {
    kind: "status",
    status: 200,
    headers: { "content-type": "application/json", ...(link === undefined ? {} : { link: `<${link}>; rel="next"` }) },
    body: typeof body === "string" ? body : JSON.stringify(body),
  };
}

test("tags are asked for by the thousand, and come in one page where they fit", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "1.0");
  fake.addImage(app, "latest");
  assert.deepEqual(await upstream.listTags(app, patient()), ["1.0", "latest"]);
  assert.deepEqual(
    fake.requests.map(({ path }) => path),
    ["/v2/team/app/tags/list?n=1000"],
  );
});

test("no tags at all: an empty list, null or nothing", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.script({}, page({ tags: [] }), page({ name: app, tags: null }), page({}));
  for (let time = 0; time < 3; time += 1) assert.deepEqual(await upstream.listTags(app, patient()), []);
});

test("what is no tag is left out, what comes twice comes once", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.script({}, page({ tags: ["a", "../x", 7, null, "", "a", "-b", "b".repeat(129)] }));
  assert.deepEqual(await upstream.listTags(app, patient()), ["a"]);
});

test("an unknown repository is not found", async (t) => {
  const { upstream } = await startBench(t);
  await assert.rejects(upstream.listTags(app, patient()), failsAs("not-found", 404));
});

for (const [what, body] of [
  ["no JSON", "<oops>"],
  ["JSON that is no object", "7"],
  ["no list", { tags: "a" }],
] as const) {
  test(`tags that are ${what} are a protocol error`, async (t) => {
    const { fake, upstream } = await startBench(t);
    fake.script({}, page(body));
    await assert.rejects(upstream.listTags(app, patient()), failsAs("protocol"));
  });
}

for (const [what, link] of [
  ["another host", "http://cdn.test/v2/team/app/tags/list?last=a"],
  ["another path", "/v2/other/app/tags/list?last=a"],
  ["nowhere", "http://"],
] as const) {
  test(`a next page at ${what} is not fetched`, async (t) => {
    const { fake, upstream } = await startBench(t);
    fake.script({}, page({ tags: ["a"] }, link));
    await assert.rejects(upstream.listTags(app, patient()), failsAs("protocol"));
    assert.equal(fake.requests.length, 1);
  });
}

test("a next page by the wrong scheme or port, as behind a TLS proxy, is fetched from where we are", async (t) => {
  const { fake, upstream } = await startBench(t);
  const link = "https://registry.test/v2/team/app/tags/list?last=a&n=1000";
  fake.script({}, page({ tags: ["a"] }, link), page({ tags: ["b"] }));
  assert.deepEqual(await upstream.listTags(app, patient()), ["a", "b"]);
  assert.equal(fake.requests[1]?.path, "/v2/team/app/tags/list?last=a&n=1000");
});

test("pages in a circle are an error", async (t) => {
  const { fake, upstream } = await startBench(t);
  const paths = ["?last=a", "?last=b", "?last=a"].map((query) => `/v2/team/app/tags/list${query}`);
  fake.script({}, ...paths.map((path) => page({ tags: ["x"] }, path)));
  await assert.rejects(upstream.listTags(app, patient()), failsAs("protocol"));
  assert.equal(fake.requests.length, 3);
});

test("pages without end are an error", async (t) => {
  const { fake, upstream } = await startBench(t);
  let count = 0;
  fake.script(
    {},
    {
      kind: "answer",
      times: Infinity,
      handler: (_req, res) => {
        count += 1;
        res.setHeader("link", `</v2/team/app/tags/list?last=${count}>; rel="next"`);
        res.end(JSON.stringify({ tags: [`t${count}`] }));
      },
    },
  );
  await assert.rejects(upstream.listTags(app, patient()), failsAs("protocol"));
  assert.equal(count, TAG_PAGES_MAX);
});

function withReferrers(count: number) {
  return async (t: { after(run: () => Promise<void>): void }, referrersPageMax?: number) => {
    const bench = await startBench(t, referrersPageMax === undefined ? {} : { fake: { referrersPageMax } });
    const subject = bench.fake.addImage(app, "latest");
    const digests = Array.from({ length: count }, (_, index) =>
      bench.fake.addManifest(app, {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        artifactType: `application/x.${index}`,
        config: { mediaType: "application/vnd.oci.empty.v1+json", digest: subject.config.digest, size: 2 },
        layers: [],
        subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.bytes.length },
      }),
    );
    return { ...bench, subject: subject.digest, digests };
  };
}

function digestsOf(index: Uint8Array | undefined): string[] {
  const { manifests } = JSON.parse(Buffer.from(index ?? []).toString()) as { manifests: { digest: string }[] };
  return manifests.map(({ digest }) => digest);
}

test("referrers come as the upstream's own index", async (t) => {
  const { upstream, subject, digests } = await withReferrers(3)(t);
  assert.deepEqual(digestsOf(await upstream.getReferrers(app, subject, patient())), digests);
});

test("referrers in pages come as one index", async (t) => {
  const { fake, upstream, subject, digests } = await withReferrers(5)(t, 2);
  const index = await upstream.getReferrers(app, subject, patient());
  assert.deepEqual(digestsOf(index), digests);
  assert.equal((JSON.parse(Buffer.from(index ?? []).toString()) as { schemaVersion: number }).schemaVersion, 2);
  assert.equal(fake.count({ path: "/referrers/" }), 3);
});

test("no referrers is an empty index, not the absence of the API", async (t) => {
  const { upstream, subject } = await withReferrers(0)(t);
  assert.deepEqual(digestsOf(await upstream.getReferrers(app, subject, patient())), []);
});

for (const status of [404, 405, 501]) {
  test(`referrers answered with ${status} mean that there is no referrers API`, async (t) => {
    const { fake, upstream, subject } = await withReferrers(1)(t);
    fake.script({}, { kind: "status", status });
    assert.equal(await upstream.getReferrers(app, subject, patient()), undefined);
  });
}

test("referrers that are a web page mean that there is no referrers API", async (t) => {
  const { fake, upstream, subject } = await withReferrers(1)(t);
  fake.script({}, { kind: "html" });
  assert.equal(await upstream.getReferrers(app, subject, patient()), undefined);
});

for (const [status, kind] of [
  [401, "unauthorized"],
  [403, "forbidden"],
  [500, "server-error"],
] as const) {
  test(`referrers answered with ${status} are an error, since the API may well be there`, async (t) => {
    const { fake, upstream, subject } = await withReferrers(1)(t);
    fake.script({}, { kind: "status", status });
    await assert.rejects(upstream.getReferrers(app, subject, patient()), failsAs(kind, status));
  });
}

test("referrers are bounded in bytes over all pages, and in pages", async (t) => {
  const { fake, upstream, subject } = await withReferrers(0)(t);
  const path = `/v2/team/app/referrers/${subject}`;
  const half = JSON.stringify({ manifests: [], filler: "x".repeat(MANIFEST_BYTES_MAX / 2) });
  const script = fake.script({}, page(half, `${path}?page=2`), page(half));
  await assert.rejects(upstream.getReferrers(app, subject, patient()), failsAs("protocol"));
  script.remove();
  const pages = Array.from({ length: REFERRERS_PAGES_MAX }, (_, index) =>
    page({ manifests: [] }, `${path}?page=${index}`),
  );
  fake.script({}, ...pages);
  await assert.rejects(upstream.getReferrers(app, subject, patient()), failsAs("protocol"));
});
