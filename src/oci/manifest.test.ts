import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import { type Digest, digestOf, parseDigest } from "./digest.ts";
import { parseManifest, UNKNOWN_SIZE } from "./manifest.ts";
import * as types from "./media-types.ts";

const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
const parse = (value: unknown, contentType?: string) => parseManifest(bytesOf(value), contentType);

const digest = fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes): Digest => digestOf(bytes));
const mediaType = fc.stringMatching(/^application\/vnd\.[a-z0-9.+-]{1,20}$/);
const plain = { noNullPrototype: true };
const descriptor = fc.record({ mediaType, digest, size: fc.maxSafeNat() }, plain);
/** Any characters, controls and beyond ASCII included. */
const wild = fc.string({ unit: fc.nat(0x2fff).map((code) => String.fromCharCode(code)) });
const annotations = fc.dictionary(fc.string(), fc.string(), { maxKeys: 4 });
const CONFIG = { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(Buffer.from("c")), size: 1 };
const LAYER = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: digestOf(Buffer.from("l")), size: 2 };

suite("an image manifest", () => {
  test("is read with all that it names, in order", () => {
    const image = fc.record({ config: descriptor, layers: fc.array(descriptor, { maxLength: 5 }), annotations });
    prove(
      fc.property(image, fc.constantFrom(types.OCI_MANIFEST, types.DOCKER_MANIFEST), digest, (body, type, subject) => {
        const manifest = parse({
          schemaVersion: 2,
          mediaType: type,
          ...body,
          subject: { mediaType: type, digest: subject, size: 1 },
        });
        assert.ok(manifest !== undefined);
        assert.equal(manifest.mediaType, type);
        assert.deepEqual(manifest.blobs, [body.config, ...body.layers]);
        assert.deepEqual(manifest.manifests, []);
        assert.equal(manifest.subject, subject);
        assert.equal(manifest.artifactType, body.config.mediaType);
        assert.deepEqual(Object.entries(manifest.annotations ?? {}), Object.entries(body.annotations));
      }),
    );
  });

  test("has an artifact type of its own, or its config's", () => {
    assert.equal(parse({ config: CONFIG, layers: [] })?.artifactType, CONFIG.mediaType);
    assert.equal(
      parse({ config: CONFIG, layers: [], artifactType: "application/sbom" })?.artifactType,
      "application/sbom",
    );
    assert.equal(parse({ config: CONFIG, layers: [], artifactType: "" })?.artifactType, CONFIG.mediaType);
  });

  test("of the artifact kind names blobs", () => {
    const type = "application/vnd.oci.artifact.manifest.v1+json";
    const manifest = parse({ mediaType: type, artifactType: "application/sbom", blobs: [LAYER], subject: CONFIG });
    assert.deepEqual(manifest?.blobs, [LAYER]);
    assert.deepEqual([manifest?.mediaType, manifest?.subject], [type, CONFIG.digest]);
  });
});

suite("an index", () => {
  test("is read with its children and their platforms, in order", () => {
    const platform = fc.record({
      os: fc.constantFrom("linux", "windows"),
      architecture: fc.constantFrom("amd64", "arm64"),
    });
    const child = fc.record({ mediaType, digest, size: fc.maxSafeNat(), platform }, plain);
    prove(
      fc.property(
        fc.array(child, { maxLength: 5 }),
        fc.constantFrom(types.OCI_INDEX, types.DOCKER_LIST),
        (manifests, type) => {
          const index = parse({ schemaVersion: 2, mediaType: type, manifests });
          const expected = manifests.map((one) => ({
            ...one,
            platform: `${one.platform.os}/${one.platform.architecture}`,
          }));
          assert.deepEqual(index?.manifests, expected);
          assert.deepEqual(index.blobs, []);
          assert.equal(index.mediaType, type);
          assert.equal(index.artifactType, undefined);
        },
      ),
    );
  });

  test("shows a platform's variant, and none where nothing is said", () => {
    const platforms = [
      { os: "linux", architecture: "arm64", variant: "v8" },
      {},
      null,
      "linux",
      { os: 5, architecture: "amd64" },
    ];
    const index = parse({ manifests: platforms.map((platform) => Object.assign({}, LAYER, { platform })) });
    const shown = index?.manifests.map((one) => one.platform);
    assert.deepEqual(shown, ["linux/arm64/v8", undefined, undefined, undefined, "amd64"]);
  });

  test("may be empty, also as Go writes that", () => {
    for (const manifests of [[], null]) {
      const index = parse({ schemaVersion: 2, mediaType: types.OCI_INDEX, manifests });
      assert.deepEqual([index?.mediaType, index?.manifests], [types.OCI_INDEX, []]);
    }
    assert.equal(parse({ schemaVersion: 2, mediaType: types.OCI_INDEX }), undefined);
  });
});

suite("millions of parts", () => {
  for (const [what, body] of [
    ["lists inside each other", "[".repeat(200_001)],
    ["empty objects", `{"manifests":[${"{},".repeat(200_000)}{}]}`],
    ["members", `{"layers":[],${Array.from({ length: 200_001 }, (_, at) => `"${at}":1`).join(",")}}`],
  ] as const) {
    test(`${what} are not read at all`, () => assert.equal(parseManifest(Buffer.from(body)), undefined));
  }

  test("are more than an index of 20,000 manifests has", () => {
    const platform = { os: "linux", architecture: "amd64" };
    const index = parse({ manifests: Array.from({ length: 20_000 }, () => ({ ...LAYER, platform })) });
    assert.equal(index?.manifests.length, 20_000);
  });
});

suite("a schema 1 manifest", () => {
  const fsLayers = [{ blobSum: LAYER.digest }, { blobSum: "sha256:short" }, null, { blobSum: CONFIG.digest }];

  test("names its layers without sizes", () => {
    const manifest = parse({ schemaVersion: 1, name: "a/b", fsLayers, history: [] }, types.DOCKER_SCHEMA1);
    const expected = [LAYER.digest, CONFIG.digest].map((one) => ({ mediaType: "", digest: one, size: UNKNOWN_SIZE }));
    assert.deepEqual([manifest?.mediaType, manifest?.blobs], [types.DOCKER_SCHEMA1, expected]);
  });

  test("has another type when it is signed, whatever the upstream says", () => {
    const manifest = parse({ schemaVersion: 1, fsLayers, signatures: [{}] }, "application/json");
    assert.equal(manifest?.mediaType, types.DOCKER_SCHEMA1_SIGNED);
  });
});

suite("the type of a manifest", () => {
  const image = { config: CONFIG, layers: [LAYER] };

  test("is the body's own, else what the upstream says, else what the body looks like", () => {
    const own = { ...image, mediaType: types.DOCKER_MANIFEST };
    assert.equal(parse(own, types.OCI_MANIFEST)?.mediaType, types.DOCKER_MANIFEST);
    assert.equal(parse(image, types.DOCKER_MANIFEST)?.mediaType, types.DOCKER_MANIFEST);
    assert.equal(
      parse(image, "application/vnd.example.thing+json; charset=utf-8")?.mediaType,
      "application/vnd.example.thing+json",
    );
    for (const sent of [undefined, "", "text/plain", "text/html", "application/json", "application/vnd.x\r\ny"]) {
      assert.equal(parse(image, sent)?.mediaType, types.OCI_MANIFEST, sent);
      assert.equal(parse({ manifests: [] }, sent)?.mediaType, types.OCI_INDEX, sent);
    }
  });

  test("is not what the upstream says where the body is plainly something else", () => {
    assert.equal(parse(image, types.OCI_INDEX)?.mediaType, types.OCI_MANIFEST);
    assert.equal(parse({ manifests: [LAYER] }, types.DOCKER_MANIFEST)?.mediaType, types.OCI_INDEX);
  });

  test("is always one that can stand in a header", () => {
    const anyType = fc.oneof(wild, fc.constant("a/b\r\nSet-Cookie: x"), fc.jsonValue());
    prove(
      fc.property(anyType, wild, (own, sent) => {
        const found = parse({ ...image, mediaType: own }, sent)?.mediaType;
        assert.ok(found !== undefined && types.isMediaType(found), found);
      }),
    );
  });
});

suite("what is no manifest", () => {
  test("is undefined, not an error", () => {
    const texts = [
      "",
      "null",
      "[]",
      "{}",
      "5",
      '"x"',
      "<html></html>",
      '{"config":{}',
      '{"errors":[]}',
      '{"schemaVersion":2}',
      "{".repeat(100_000),
    ];
    for (const text of texts) assert.equal(parseManifest(Buffer.from(text)), undefined, text.slice(0, 40));
    assert.equal(parseManifest(Buffer.from([0x7b, 0xff, 0x7d])), undefined);
    const notText = Buffer.concat([Buffer.from('{"manifests":[],"x":"'), Buffer.from([0xc3]), Buffer.from('"}')]);
    assert.equal(parseManifest(notText), undefined);
  });

  test("is also a body that two clients could read as two things", () => {
    assert.equal(parse({ config: CONFIG, layers: [LAYER], manifests: [LAYER] }), undefined);
    assert.equal(parse({ fsLayers: [], layers: [LAYER] }), undefined);
    assert.equal(parse({ mediaType: types.OCI_INDEX, config: CONFIG, layers: [LAYER] }), undefined);
    assert.equal(parse({ mediaType: types.DOCKER_MANIFEST, manifests: [LAYER] }), undefined);
  });

  test("never throws, and nothing unchecked comes out, whatever comes in", () => {
    const key = fc.constantFrom(
      "mediaType",
      "manifests",
      "config",
      "layers",
      "blobs",
      "fsLayers",
      "subject",
      "annotations",
      "platform",
      "digest",
      "size",
      "__proto__",
    );
    const leaf = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(LAYER, CONFIG, LAYER.digest, -1, 1.5, 2 ** 53, types.OCI_INDEX),
    );
    const part = fc.oneof(leaf, fc.array(leaf, { maxLength: 3 }), fc.dictionary(key, leaf, { maxKeys: 4 }));
    const body = fc.dictionary(key, fc.oneof(part, fc.array(part, { maxLength: 3 })), { maxKeys: 6 });
    prove(
      fc.property(fc.oneof(body, fc.jsonValue()), fc.option(mediaType, { nil: undefined }), (value, sent) => {
        const manifest = parse(value, sent);
        if (manifest === undefined) return;
        for (const one of [...manifest.manifests, ...manifest.blobs]) {
          assert.equal(parseDigest(one.digest), one.digest);
          assert.ok(one.size === UNKNOWN_SIZE || (Number.isSafeInteger(one.size) && one.size >= 0));
          assert.equal(typeof one.mediaType, "string");
        }
        assert.ok(manifest.manifests.length === 0 || manifest.blobs.length === 0);
        assert.ok(types.isMediaType(manifest.mediaType));
        for (const text of Object.values(manifest.annotations ?? {})) assert.equal(typeof text, "string");
      }),
      1000,
    );
    prove(fc.property(fc.uint8Array(), (bytes) => assert.doesNotThrow(() => parseManifest(bytes))));
    const subject = { ...LAYER, artifactType: "a/b", annotations: { a: "b" } };
    const almost = nearly([
      JSON.stringify({ schemaVersion: 2, mediaType: types.OCI_MANIFEST, config: CONFIG, layers: [LAYER], subject }),
      JSON.stringify({
        schemaVersion: 2,
        mediaType: types.OCI_INDEX,
        manifests: [{ ...LAYER, platform: {} }],
        subject,
      }),
    ]);
    prove(
      fc.property(almost, (text) => {
        const manifest = parseManifest(Buffer.from(text));
        for (const one of [...(manifest?.manifests ?? []), ...(manifest?.blobs ?? [])]) {
          assert.equal(parseDigest(one.digest), one.digest);
          assert.ok(one.size === UNKNOWN_SIZE || (Number.isSafeInteger(one.size) && one.size >= 0));
        }
      }),
    );
  });

  test("is left out of a manifest: descriptors that we could not verify or count", () => {
    const bad = [
      { ...LAYER, digest: "sha256:short" },
      { ...LAYER, digest: `blake3:${"0".repeat(64)}` },
      { ...LAYER, size: -1 },
      { ...LAYER, size: 1.5 },
      { ...LAYER, size: "2" },
      { ...LAYER, size: 2 ** 53 },
      { mediaType: LAYER.mediaType, digest: LAYER.digest },
      null,
      "sha256:x",
      [LAYER],
    ];
    const manifest = parse({ config: CONFIG, layers: [...bad, LAYER] });
    assert.deepEqual(manifest?.blobs, [CONFIG, LAYER]);
  });

  test("is no trap either: an annotation named like an object's inner parts", () => {
    const text = '{"manifests":[],"annotations":{"__proto__":"a","constructor":"b","n":5}}';
    const read = parseManifest(Buffer.from(text))?.annotations;
    assert.deepEqual(Object.entries(read ?? {}), [
      ["__proto__", "a"],
      ["constructor", "b"],
    ]);
    assert.equal(Object.getPrototypeOf(read), Object.prototype);
  });
});
