import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { ImageAnswer } from "../admin/api/answers.ts";
import { evictionText, pinsText } from "./evict-text.ts";
import { listText } from "./ls-text.ts";
import { historyText, imageText } from "./show-text.ts";

const NOW = Date.parse("2026-11-26T12:00:00.000Z");
const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const OTHER = `sha256:${"fedcba9876543210".repeat(4)}`;
const MIB = 1024 * 1024;

function tag(name: string, differs: Partial<ImageAnswer["tags"][number]> = {}): ImageAnswer["tags"][number] {
  const [firstSeenAt, confirmedAt] = ["2026-11-23T12:00:00.000Z", "2026-11-26T11:58:00.000Z"];
  return { tag: name, digest: DIGEST, firstSeenAt, confirmedAt, pulls: 2, ...differs };
}

function image(differs: Partial<ImageAnswer> = {}): ImageAnswer {
  return {
    registry: "dockerhub",
    repository: "docker.io/library/nginx",
    digest: DIGEST,
    tags: [tag("1.27"), tag("latest")],
    kind: "index",
    mediaType: "application/vnd.oci.image.index.v1+json",
    platforms: [
      { os: "linux", architecture: "amd64", digest: OTHER, isHeld: true, size: 34 * MIB },
      { os: "linux", architecture: "arm64", variant: "v8", digest: DIGEST, isHeld: false, size: 0 },
    ],
    size: 68 * MIB,
    own: 41 * MIB,
    heldSince: "2026-11-23T12:00:00.000Z",
    confirmedAt: "2026-11-26T11:58:00.000Z",
    lastPulledAt: "2026-11-26T09:00:00.000Z",
    pulls: 12,
    ...differs,
  };
}

test("a list of images, on a terminal that is too narrow for one of them", () => {
  const { lastPulledAt: _, ...never } = image({
    repository: "ghcr.io/some-organisation/a-name-that-is-far-too-long",
    tags: [],
  });
  const chart = image({
    kind: "artifact",
    artifactType: "application/vnd.cncf.helm.config.v1+json",
    platforms: [],
    pulls: 0,
  });
  assert.equal(
    listText({ images: [image(), never, chart], hasMore: true, nowMs: NOW, width: 79 }),
    `\
IMAGE                              SIZE  LAST PULL  PULLS  PLATFORMS
docker.io/library/nginx:1.27 +1  68 MiB        3 h     12  amd64
...too-long@sha256:0123456789ab  68 MiB      never     12  amd64
docker.io/library/nginx:1.27 +1  68 MiB        3 h      0  application/vnd.cncf
3 images, and there are more: see --limit
`,
  );
  assert.equal(listText({ images: [], hasMore: false, nowMs: NOW, width: 79 }), "nothing is held that fits\n");
  assert.match(listText({ images: [], hasMore: false, isAll: true, nowMs: NOW, width: 79 }), /^nothing is held yet: /);
});

test("what is pinned, and where a tag is held", () => {
  const held = image({
    tags: [tag("latest", { heldAt: OTHER }), tag("old", { heldAt: DIGEST })],
    pinned: "docker.io/**",
  });
  assert.equal(
    listText({ images: [held, image()], hasMore: false, nowMs: NOW, width: 79 }),
    `\
IMAGE                                SIZE  LAST PULL  PULLS  PINNED  PLATFORMS
docker.io/library/nginx:latest +1  68 MiB        3 h     12  yes     amd64
docker.io/library/nginx:1.27 +1    68 MiB        3 h     12  -       amd64
held: clients that ask for docker.io/library/nginx:latest get sha256:fedcba987654
2 images
`,
  );
  const text = imageText(held, NOW);
  assert.match(text, /^ {2}pinned +by docker\.io\/\*\*$/m);
  assert.ok(text.includes(`latest since 3 d, 2 pulls, but clients get ${OTHER}: it is held there\n`), text);
  assert.match(text, /old since 3 d, 2 pulls, held here$/m);
});

suite("one image", () => {
  test("with what is missing of it, and how that comes", () => {
    const lacking = (missing: NonNullable<ImageAnswer["missing"]>, tags = [tag("1.27")]) =>
      imageText(image({ missing, tags }), NOW)
        .split("\n")
        .find((line) => line.includes("missing"));
    assert.equal(
      lacking({ contents: 2, of: 5, bytes: 57 * MIB }),
      "  missing     2 of 5 blobs are not held (57 MiB): registry-cache warm docker.io/library/nginx:1.27 fetches them",
    );
    assert.equal(
      lacking({ contents: 1, of: 1, bytes: MIB }, []),
      `  missing     1 of 1 blob is not held (1.0 MiB): registry-cache warm docker.io/library/nginx@${DIGEST} fetches it`,
    );
    assert.doesNotMatch(imageText(image(), NOW), /missing/);
  });

  test("with all that is known of it", () => {
    const pullers = [
      { name: "ci", pulls: 10, lastPulledAt: "2026-11-26T09:00:00.000Z" },
      { name: "192.0.2.1", pulls: 1, lastPulledAt: "2026-11-24T12:00:00.000Z" },
    ];
    assert.equal(
      imageText(image({ tags: [tag("1.27"), tag("amd", { digest: OTHER, pulls: 1 })], pullers }), NOW),
      `\
docker.io/library/nginx:1.27
  digest      ${DIGEST}
  kind        index (application/vnd.oci.image.index.v1+json)
  size        68 MiB, of which 41 MiB would come back
  held since  2026-11-23 12:00 UTC (3 d ago)
  confirmed   2026-11-26 11:58 UTC (2 min ago)
  last pull   2026-11-26 09:00 UTC (3 h ago)
  pulls       12
  tags        1.27 since 3 d, 2 pulls
              amd since 3 d, 1 pull, leads to amd64
  platforms   linux/amd64     34 MiB    sha256:fedcba987654
              linux/arm64/v8  not held  sha256:0123456789ab
  pulled by   ci         10 pulls  last 2026-11-26 09:00 UTC (3 h ago)
              192.0.2.1  1 pull    last 2026-11-24 12:00 UTC (2 d ago)
`,
    );
  });

  test("names that could do something to a terminal do not", () => {
    const text = imageText(
      image({
        mediaType: "\u001b[2Jx",
        pullers: [{ name: "\u001b]0;x\u0007", pulls: 1, lastPulledAt: "2026-11-26T09:00:00.000Z" }],
      }),
      NOW,
    );
    assert.ok(!text.includes("\u001b") && !text.includes("\u0007"));
  });
});

test("where a tag points, has pointed, and is held", () => {
  const history = [
    { digest: DIGEST, firstSeenAt: "2026-11-26T09:00:00.000Z", confirmedAt: "2026-11-26T11:58:00.000Z" },
    {
      digest: OTHER,
      firstSeenAt: "2026-11-20T09:00:00.000Z",
      confirmedAt: "2026-11-26T08:00:00.000Z",
      vanishedAt: "2026-11-26T08:30:00.000Z",
    },
  ];
  assert.equal(
    historyText({ image: "docker.io/library/nginx:latest", heldAt: OTHER, history }, NOW),
    `\
docker.io/library/nginx:latest
  ${DIGEST}
    since 2026-11-26 09:00 UTC (3 h ago), confirmed 2 min ago
  ${OTHER}
    since 2026-11-20 09:00 UTC (6 d ago), gone upstream 3 h ago, held here
`,
  );
  const elsewhere = historyText(
    { image: "docker.io/library/nginx:latest", heldAt: OTHER, history: history.slice(0, 1) },
    NOW,
  );
  assert.match(elsewhere, new RegExp(`^ {2}held at ${OTHER}$`, "m"));
});

suite("what goes", () => {
  const going = {
    registry: "dockerhub",
    repository: "docker.io/library/nginx",
    digest: DIGEST,
    tags: ["1.25", "old"],
    bytes: 41 * MIB,
    reason: "age" as const,
    lastUsedAt: "2026-08-26T12:00:00.000Z",
  };
  const none = { kept: [], orphans: { count: 0, bytes: 0 }, lackingBytes: 0 };

  test("by a plan", () => {
    const answer = {
      images: [going, { ...going, tags: [], reason: "budget" as const }],
      imageCount: 3,
      bytes: 100 * MIB,
      kept: [{ image: "2 images", why: "pinned" }],
      orphans: { count: 1, bytes: 18 * MIB },
      lackingBytes: 5 * MIB,
    };
    assert.equal(
      evictionText(answer, { isDryRun: true, nowMs: NOW, width: 79 }),
      `\
IMAGE                                          BACK  UNUSED  WHY
docker.io/library/nginx:1.25 +1              41 MiB    92 d  age
docker.io/library/nginx@sha256:0123456789ab  41 MiB    92 d  budget
... 1 more
3 images would go, and 100 MiB would come back
among it what no image has: 1, 18 MiB
stays: 2 images (pinned)
warning: 5.0 MiB too much is held all the same
`,
    );
  });

  test("by somebody's word", () => {
    const text = evictionText(
      { ...none, images: [], imageCount: 0, bytes: 0 },
      { isDryRun: false, nowMs: NOW, width: 79 },
    );
    assert.equal(text, "0 images went, and 0 B came back\n");
  });
});

test("what is pinned", () => {
  const pins = [
    { image: "docker.io/library/*", isHold: false, isConfigured: true },
    {
      image: `docker.io/library/nginx:latest@${DIGEST}`,
      isHold: true,
      isConfigured: false,
      note: "the new one breaks",
    },
    { image: "ghcr.io/org/app:1", isHold: false, isConfigured: false },
  ];
  assert.equal(
    pinsText({ pins }),
    `\
docker.io/library/*  by the configuration
docker.io/library/nginx:latest@${DIGEST}  held there, the new one breaks
ghcr.io/org/app:1
`,
  );
  assert.equal(pinsText({ pins: [] }), "nothing is pinned\n");
});
