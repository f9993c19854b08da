import assert from "node:assert/strict";
import { test } from "node:test";
import { OPEN_ACCESS, testConfig, testRegistry } from "../test/support/cache.ts";
import { explainAccess } from "./explain-access.ts";
import { RegistryError } from "./oci/errors.ts";

const RULE = { who: "ci-*", registry: undefined, repository: "*", tag: "*", allow: false, minAgeMs: 0 };
const rules = [
  { ...RULE, registry: "ghcr", repository: "org/**", tag: "v*", allow: true },
  RULE,
  { ...RULE, who: "me", registry: "ghcr", allow: true, minAgeMs: 259_200_000 },
  { ...RULE, who: "you", registry: "lscr" },
];
const ghcr = testRegistry("http://127.0.0.1:1", { id: "ghcr", serves: "ghcr.io", aliases: [], libraryPrefix: false });
const lscr = { ...ghcr, id: "lscr", serves: "lscr.io" };
const config = testConfig("/nonexistent", [testRegistry("http://127.0.0.1:2"), ghcr, lscr], {
  access: { ...OPEN_ACCESS, rules },
});
const DIGEST = `sha256:${"0".repeat(64)}`;

for (const [who, image, text] of [
  ["ci-1", "ghcr.io/org/app:v1", "ci-1 may pull ghcr.io/org/app:v1: rule 1 of access.rules allows it"],
  ["ci-1", "ghcr.io/org/app", "ci-1 may not pull ghcr.io/org/app:latest: rule 2 of access.rules forbids it"],
  ["ci-1", "nginx:1.27", "ci-1 may not pull docker.io/library/nginx:1.27: rule 2 of access.rules forbids it"],
  ["me", "docker.io/library/nginx", "me may pull docker.io/library/nginx:latest: no rule is about that"],
  [
    "me",
    "ghcr.io/org/app",
    "me may pull ghcr.io/org/app:latest: rule 3 of access.rules allows it, once it has been known here for 3d",
  ],
  // lscr.io is ghcr.io under another name.
  ["you", "ghcr.io/org/app", "you may not pull ghcr.io/org/app:latest: rule 4 of access.rules forbids it"],
  [
    "ci-1",
    `ghcr.io/org/app:v1@${DIGEST}`,
    `ci-1 may not pull ghcr.io/org/app@${DIGEST}: rule 2 of access.rules forbids it; a running cache also asks which tags lead to it`,
  ],
] as const) {
  test(`${who} and ${image.slice(0, 30)}`, () => {
    const explanation = explainAccess(config, who, image);
    assert.deepEqual(explanation, { isAllowed: text.includes(" may pull "), text });
  });
}

for (const image of ["unknown.example/app:1", "UPPER/case", "nginx:", "ghcr.io/org/app@sha256:00", ""]) {
  test(`${JSON.stringify(image)} is nothing that could be pulled here`, () => {
    assert.throws(() => explainAccess(config, "me", image), RegistryError);
  });
}
