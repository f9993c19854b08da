import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type ImportPlan, ImportTally, Problems } from "../upkeep/import/report.ts";
import { planText, problemsText, progressLine, reportText } from "./import-text.ts";

const MIB = 1024 * 1024;
const PLAN: ImportPlan = {
  source: "registry volume",
  repositories: 1,
  manifests: 2,
  tags: 3,
  blobs: 5,
  bytes: 100 * MIB,
  held: { blobs: 1, bytes: 20 * MIB },
  wanted: { blobs: 4, bytes: 80 * MIB },
  roomNeeded: 80 * MIB,
  room: 1024 * MIB,
  missing: 0,
  problems: [],
  problemCount: 0,
};

suite("what an import says", () => {
  test("of what there is to take", () => {
    assert.equal(
      planText(PLAN),
      [
        "registry volume: 1 repository, 2 manifests, 3 tags",
        "to take: 4 blobs, 80 MiB; held already: 1 blob, 20 MiB",
        "80 MiB of room is needed for copies; 1.0 GiB may be used",
        "",
      ].join("\n"),
    );
    assert.match(planText({ ...PLAN, roomNeeded: 0 }), /no room is needed: they can be linked to/);
    assert.match(planText({ ...PLAN, roomNeeded: MIB }), /1.0 MiB of room at most is needed/);
    assert.match(planText({ ...PLAN, room: -1 }), /0 B may be used\nthat is more than there is/);
    assert.match(planText({ ...PLAN, missing: 2 }), /without being there: 2 blobs, fetched when they are pulled/);
    assert.match(planText({ ...PLAN, wanted: { blobs: 0, bytes: 0 }, roomNeeded: 0 }), /no room is needed;/);
  });

  test("of how far it is, in one line whatever the names are", () => {
    const tally = new ImportTally();
    assert.equal(progressLine(undefined, tally, 0), "looking at what there is");
    tally.take("linked", 20 * MIB);
    tally.bytesUnderWay = 5 * MIB;
    tally.repository = "docker.io/a\n\u001b[2J";
    assert.equal(
      progressLine(PLAN, tally, 25 * MIB),
      "25%  25 MiB of 100 MiB  1 of 5 blobs  25 MiB/s  3.0 s left  docker.io/a\\u{a}\\u{1b}[2J",
    );
  });

  test("of what it has done, and of what it keeps back", () => {
    const tally = new ImportTally();
    tally.count("repositories", 3);
    tally.take("linked", MIB);
    tally.take("held", MIB);
    tally.count("tagsKept");
    tally.count("privateRepositories");
    tally.count("unknownRepositories", 2);
    const problems = new Problems();
    for (const what of ["a", "b", "a"]) problems.add({ kind: "damaged", what });
    const report = tally.report("OCI layout", problems);
    assert.equal(
      reportText(report),
      [
        "imported: 3 repositories, 0 manifests, 0 tags",
        "linked: 1 blob, 1.0 MiB; held already: 1 blob, 1.0 MiB",
        "tags that the cache had already, left as they are: 1",
        "kept back: 1 repository that the registry does not give to everybody; see private images in docs/security.md",
        "kept back: 2 repositories whose registry could not be asked whether everybody may have them",
        "hint: run the import again when it can be asked, or with --public if you know that they may",
        "",
      ].join("\n"),
    );
    assert.equal(report.problemCount, 2);
    assert.match(problemsText(report), /^warning: a: not the bytes that the digest stands for; left out\n/);
    for (let at = 0; at < 2_000; at += 1) problems.add({ kind: "unreadable", what: `\n${at}`, reason: "EIO" });
    const much = tally.report("OCI layout", problems);
    assert.deepEqual([much.problems.length, much.problemCount], [1_000, 2_002]);
    assert.match(problemsText(much), /warning: 1982 more; --json has them\n$/);
  });
});
