import assert from "node:assert/strict";
import { test } from "node:test";
import { OPEN_ACCESS, testConfig, testRegistry } from "../test/support/cache.ts";
import { explainAccess, isSomebody } from "./explain-access.ts";
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
const NO_USERS: ReadonlySet<string> = new Set();
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
    const explanation = explainAccess(config, NO_USERS, who, image);
    assert.deepEqual(explanation, { isAllowed: text.includes(" may pull "), text });
  });
}

for (const image of ["unknown.example/app:1", "UPPER/case", "nginx:", "ghcr.io/org/app@sha256:00", ""]) {
  test(`${JSON.stringify(image)} is nothing that could be pulled here`, () => {
    assert.throws(() => explainAccess(config, NO_USERS, "me", image), RegistryError);
  });
}

const HERE = { host: "127.0.0.1", port: 5000, methods: undefined, tls: true };
const SETS = {
  users: { ...OPEN_ACCESS, anonymous: false, htpasswd: "/nonexistent" },
  path: { ...OPEN_ACCESS, anonymous: false, paths: [{ name: "lab", token: "0".repeat(22) }] },
  networks: { ...OPEN_ACCESS, networks: ["10.0.0.0/8"] },
};
const hub = testRegistry("http://127.0.0.1:2");

for (const [name, differs, who, text] of [
  [
    "users only",
    { access: SETS.users },
    "anonymous",
    "anonymous may not pull ghcr.io/org/app:1: it is asked for a name first",
  ],
  ["users only", { access: SETS.users }, "ann", "ann may pull ghcr.io/org/app:1: no rule is about that"],
  ["networks", { access: SETS.networks }, "anonymous", "anonymous may pull ghcr.io/org/app:1: no rule is about that"],
  [
    "an open registry",
    { access: SETS.users, registries: [hub, { ...ghcr, anonymous: true }] },
    "anonymous",
    "anonymous may pull ghcr.io/org/app:1: no rule is about that",
  ],
  [
    "another name of a closed one",
    { access: OPEN_ACCESS, registries: [hub, ghcr, { ...lscr, anonymous: false }] },
    "anonymous",
    "anonymous may not pull ghcr.io/org/app:1: it is asked for a name first",
  ],
  [
    "one open address",
    {
      access: SETS.users,
      listen: [
        { ...HERE, methods: ["anonymous"] },
        { ...HERE, host: "::1", port: 5001 },
      ],
    },
    "anonymous",
    "anonymous may pull ghcr.io/org/app:1: no rule is about that; at 127.0.0.1:5000 alone, elsewhere it is asked for a name first",
  ],
  [
    "an open registry at an address that wants names",
    {
      access: SETS.users,
      registries: [hub, { ...ghcr, anonymous: true }],
      listen: [{ ...HERE, methods: ["basic"] }],
    },
    "anonymous",
    "anonymous may not pull ghcr.io/org/app:1: it is asked for a name first",
  ],
  [
    "one address with users",
    { access: SETS.users, listen: [HERE, { ...HERE, host: "::1", methods: ["anonymous"] }] },
    "ann",
    "ann may pull ghcr.io/org/app:1: no rule is about that; at 127.0.0.1:5000 alone, elsewhere the way it says who it is does not count",
  ],
  [
    "no address with users",
    { access: SETS.users, listen: [{ ...HERE, methods: ["anonymous"] }] },
    "ann",
    "ann may not pull ghcr.io/org/app:1: the way it says who it is does not count at any address in `listen`",
  ],
  [
    "a secret path",
    { access: SETS.path },
    "lab",
    "lab may not pull ghcr.io/org/app:1: a secret path is for images of Docker Hub alone",
  ],
] as const) {
  test(`${who} with ${name}`, () => {
    const its = testConfig("/nonexistent", [hub, ghcr], { listen: [HERE], ...differs });
    const explanation = explainAccess(its, new Set(["ann"]), who, "ghcr.io/org/app:1");
    assert.deepEqual(explanation, { isAllowed: text.includes(" may pull "), text });
  });
}

test("somebody is a user, a secret path, whoever may have a certificate, or nobody", () => {
  const mtls = { ca: "", crl: undefined, names: ["ci-*"], files: { ca: "", crl: undefined } };
  const its = testConfig("/nonexistent", [hub], { access: { ...SETS.users, paths: SETS.path.paths, mtls } });
  const found = ["ann", "lab", "ci-7", "anonymous", "bob"].filter((who) => isSomebody(its, new Set(["ann"]), who));
  assert.deepEqual(found, ["ann", "lab", "ci-7", "anonymous"]);
});
