import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { prove } from "../../test/support/property.ts";
import { tempDir } from "../../test/support/temp.ts";
import { BUILT_IN_REGISTRIES } from "../config/built-in.ts";
import { loadConfig } from "../config/load.ts";
import { type Answers, answersOf, knowsPeople, type Sources } from "./answers.ts";
import { edited } from "./edit.ts";

/** Each of them edits and reads a dozen files. */
const RUNS = 15;

const NONE: Sources = { yaml: "", dotEnv: "" };

/** What people write by hand, with comments everywhere and keys that the wizard does not ask for. */
const HAND_WRITTEN = `# ours

listen: 127.0.0.1:5000   # only here
workers: 2

# who
access:
  # the lab
  networks: [10.0.0.0/8, 127.0.0.0/8]
  rules:
    - { who: "ci-*", allow: true } # all of them
  # the last word on access
log: { level: debug }

registries:
  # the Hub
  dockerhub:
    username: me
    tags:
      - { match: "v*", revalidate_after: 24h }
    # below the Hub
  ghcr: { enabled: false, ask_budget: 1s }
  corp: # ours
    serves: registry.corp.example
    upstream: http://127.0.0.1:5001
# the end
`;

const DOT_ENV = `# secrets
OTHER='of another program'
REGISTRY_CACHE_DOCKERHUB_PASSWORD=hunter2
REGISTRY_CACHE_LOG_LEVEL=warn
`;

const BY_HAND: Sources = { yaml: HAND_WRITTEN, dotEnv: DOT_ENV };

/** As literals are. */
const record = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(model, { noNullPrototype: true });

const ids = [...BUILT_IN_REGISTRIES.map(({ id }) => id), "corp"];
const label = fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/);
const host = fc.tuple(label, label).map(([one, other]) => `${one}.${other}.example.com`);
const secret = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => {
  return !/\p{Cc}/u.test(text) && text.trim() !== "" && !/^\$\{\w+\}$|^\*{8}$/.test(text);
});
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** Files that the folder of these tests has. */
const FILES = { cert: "cache.pem", ca: "ca.pem" };

const tls = fc.oneof(
  fc.constant({ kind: "off" as const }),
  record({
    kind: fc.constant("files" as const),
    cert: fc.constant(FILES.cert),
    key: fc.constant(FILES.cert),
    ca: maybe(fc.constant(FILES.ca)),
  }),
  record({
    kind: fc.constant("acme" as const),
    directory: maybe(fc.constant("https://ca.example.com/acme/acme/directory")),
    directoryCa: maybe(fc.constant(FILES.ca)),
    email: maybe(fc.constant("ops@example.com")),
    names: fc.uniqueArray(host, { minLength: 1, maxLength: 3 }),
    challenge: fc.constantFrom("http-01" as const, "tls-alpn-01" as const),
  }),
);

const access = record({
  networks: fc.uniqueArray(fc.constantFrom("10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "192.0.2.7"), { maxLength: 4 }),
  htpasswd: maybe(fc.constant("users.htpasswd")),
  mtlsCa: maybe(fc.constant(FILES.ca)),
  paths: fc.constantFrom([], [{ name: "lab", tokenFile: "lab.token" }]),
  isOpenAll: fc.boolean(),
});

const credentials = fc.oneof(
  fc.constant({ kind: "none" as const }),
  record({
    kind: fc.constant("basic" as const),
    username: secret.filter((text) => !text.includes(":")),
    password: secret.filter((text) => !(text.includes("'") && text.includes("`"))),
  }),
);

/** Answers that fit together, as the questions see to it. */
function answers(known: readonly string[]): fc.Arbitrary<Answers> {
  const registry = (id: string) =>
    record({
      id: fc.constant(id),
      serves: fc.constant(BUILT_IN_REGISTRIES.find((one) => one.id === id)?.serves ?? "registry.corp.example"),
      upstream: fc.constant(BUILT_IN_REGISTRIES.find((one) => one.id === id)?.upstream ?? "http://127.0.0.1:5001"),
      isBuiltIn: fc.constant(id !== "corp"),
      isOn: fc.boolean(),
      hostnames: fc.uniqueArray(fc.constantFrom(`${id}.cache.example.com`, `${id}.example.org`), { maxLength: 2 }),
      credentials,
    });
  return record({
    registries: fc.tuple(...known.map(registry)),
    listen: fc.uniqueArray(fc.constantFrom("127.0.0.1:5000", "0.0.0.0:5443", "[::1]:5000"), { minLength: 1 }),
    url: maybe(host.map((name) => `https://${name}:5000`)),
    tls,
    access,
    dataDir: fc.constantFrom("./data", "/srv/registry cache", "data: # odd"),
    minFreeDiskBytes: fc.constantFrom(1024 ** 3, 0, 20 * 1000 ** 3, 12_345),
  }).map(fitting);
}

type Loose = Omit<Answers, "access"> & {
  readonly access: Omit<Answers["access"], "anonymous"> & { readonly isOpenAll: boolean };
};

function fitting({ access: { isOpenAll, ...asked }, ...others }: Loose): Answers {
  const registries = others.registries.map((one) => (one.id === "dockerhub" ? { ...one, isOn: true } : one));
  // Secret paths are for Docker Hub, client certificates for TLS.
  const its = { ...asked, mtlsCa: others.tls.kind === "off" ? undefined : asked.mtlsCa };
  const isPeople = knowsPeople(its);
  const isOpen = !isPeople || isOpenAll;
  const isBeyond = others.listen.some((address) => address.startsWith("0.0.0.0"));
  const networks = isOpen && isBeyond && its.networks.length === 0 ? ["10.0.0.0/8"] : its.networks;
  return { ...others, registries, access: { ...its, anonymous: isOpen, networks } };
}

const kept = ({ registries, ...others }: Answers) => ({
  ...others,
  registries: registries.map(({ credentials: its, ...one }) => ({
    ...one,
    credentials: its.kind === "basic" ? { kind: "kept" as const, username: its.username } : its,
  })),
});

describe("the files with what was answered", () => {
  for (const [title, sources] of [
    ["nothing", NONE],
    ["what was written by hand", BY_HAND],
  ] as const) {
    const known = sources === NONE ? ids.filter((id) => id !== "corp") : ids;

    test(`from ${title}: they say what was answered, and the same answers change no byte of them`, () => {
      prove(
        fc.property(answers(known), answers(known), (one, other) => {
          for (const after of [one, other]) {
            const first = edited(sources, after);
            assert.deepEqual(answersOf(first), kept(after));
            assert.deepEqual(edited(first, answersOf(first)), first);
            const second = edited(first, other);
            assert.deepEqual(answersOf(second), kept(other));
          }
        }),
        RUNS,
      );
    });

    test(`from ${title}: whatever was answered, they can be loaded`, async (t) => {
      const cwd = await tempDir(t);
      const { cert, key } = selfSignedCertificate(["cache.example.com"]);
      await writeFile(join(cwd, FILES.cert), cert + key, { mode: 0o600 });
      await writeFile(join(cwd, FILES.ca), cert);
      await writeFile(join(cwd, "lab.token"), "0123456789abcdef0123456789abcdef", { mode: 0o600 });
      await prove(
        fc.asyncProperty(answers(known), async (after) => {
          const { yaml, dotEnv } = edited(sources, after);
          const draft = { name: "registry-cache.yaml", folder: cwd, yaml, dotEnv };
          const config = await loadConfig({ environment: {}, cwd, isTerminal: false, draft });
          const on = after.registries.filter(({ isOn }) => isOn);
          assert.deepEqual(new Set(config.registries.map(({ id }) => id)), new Set(on.map(({ id }) => id)));
          for (const { id, credentials: its } of on) {
            const found = config.registries.find((registry) => registry.id === id)?.credentials;
            const { username, password } = { username: undefined, password: undefined, ...its };
            assert.deepEqual(found, its.kind === "none" ? undefined : { kind: "basic", username, password });
          }
        }),
        RUNS,
      );
    });
  }

  test("no comment and no key that is not asked for is lost", () => {
    prove(
      fc.property(answers(ids), (after) => {
        const { yaml, dotEnv } = edited(BY_HAND, after);
        const lost = (before: string, now: string) =>
          before.split("\n").filter((line) => line.trimStart().startsWith("#") && !now.split("\n").includes(line));
        // A mapping that nothing is left of goes with what stood in it; these have keys that stay.
        assert.deepEqual(lost(HAND_WRITTEN, yaml), []);
        assert.deepEqual(lost(DOT_ENV, dotEnv), []);
        const value = parse(yaml) as Record<string, Record<string, Record<string, unknown>>>;
        assert.deepEqual(value["workers"], 2);
        assert.deepEqual(value["log"], { level: "debug" });
        assert.deepEqual(value["access"]?.["rules"], [{ who: "ci-*", allow: true }]);
        assert.deepEqual(value["registries"]?.["dockerhub"]?.["tags"], [{ match: "v*", revalidate_after: "24h" }]);
        assert.equal(value["registries"]?.["ghcr"]?.["ask_budget"], "1s");
        assert.match(dotEnv, /^OTHER='of another program'$/m);
        assert.match(dotEnv, /^REGISTRY_CACHE_LOG_LEVEL=warn$/m);
      }),
      RUNS,
    );
  });
});

test("without an answer that differs nothing is written anew, whatever the form", () => {
  for (const yaml of [
    HAND_WRITTEN,
    "{}",
    "listen:   [ '127.0.0.1:5000' ]",
    "# nothing but this\n",
    "min_free_disk: 1024MiB",
  ]) {
    const sources = { yaml, dotEnv: DOT_ENV };
    assert.deepEqual(edited(sources, answersOf(sources)), sources);
  }
});

test("a new file tells what it is, what its keys mean, and nothing that is as it is by default anyway", () => {
  const { yaml, dotEnv } = edited(NONE, answersOf(NONE));
  assert.equal(dotEnv, "");
  assert.equal(
    yaml,
    `# Registry Cache. \`registry-cache config\` wrote this; it may be run again, and edited by hand beside that.
# \`registry-cache check\` shows what it amounts to, docs/configuration.md explains every key.

# Address and port for clients; 127.0.0.1 is this machine alone, 0.0.0.0 every address of it.
listen: 127.0.0.1:5000

# Where images lie.
data_dir: ./data

# What is left free on that disk; beyond it, pulls are streamed through and not kept.
min_free_disk: 1GiB
`,
  );
});

test("secrets go to .env, and leave the configuration where they stood in it", () => {
  const yaml = "registries:\n  quay:\n    username: me\n    password: in the open # tell nobody\n";
  const before = answersOf({ yaml, dotEnv: "" });
  const registries = before.registries.map((one) =>
    one.id === "quay" ? { ...one, credentials: { kind: "basic" as const, username: "me", password: "s3cret" } } : one,
  );
  const after = edited({ yaml, dotEnv: "" }, { ...before, registries });
  assert.equal(after.yaml, "registries:\n  quay:\n    username: me\n");
  assert.match(after.dotEnv, /^# .*\nREGISTRY_CACHE_QUAY_PASSWORD=s3cret\n$/);
});

test("an address that stays keeps what else is said of it", () => {
  const yaml = "listen:\n  - { address: 127.0.0.1:5000, tls: false }\n  - 10.0.0.7:5443 # inside\n";
  const before = answersOf({ yaml, dotEnv: "" });
  const after = edited({ yaml, dotEnv: "" }, { ...before, listen: ["127.0.0.1:5000", "0.0.0.0:5443"] });
  assert.equal(parse(after.yaml).listen[0].tls, false);
  assert.deepEqual(answersOf(after).listen, ["127.0.0.1:5000", "0.0.0.0:5443"]);
});

test("the registry for requests without a name is one that is on", () => {
  const before = answersOf(NONE);
  const only = (id: string) => ({
    ...before,
    registries: before.registries.map((one) => ({ ...one, isOn: one.id === id })),
  });
  const quay = edited(NONE, only("quay"));
  assert.equal((parse(quay.yaml) as Record<string, unknown>)["default_registry"], "quay");
  const ghcr = edited(quay, only("ghcr"));
  assert.equal((parse(ghcr.yaml) as Record<string, unknown>)["default_registry"], "ghcr");
});
