import assert from "node:assert/strict";
import { chmod, lstat, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { prove } from "../../test/support/property.ts";
import { scriptedAsker } from "../../test/support/scripted-asker.ts";
import { tempDir } from "../../test/support/temp.ts";
import { ConfigError } from "../config/errors.ts";
import { loadConfig } from "../config/load.ts";
import { answersOf } from "./answers.ts";
import type { Asker } from "./asker.ts";
import { converse } from "./converse.ts";
import { changedPaths, ChangedMeanwhileError, prepare, readTarget, write, writeProblem } from "./files.ts";
import { machine } from "./machine.ts";
import { NOTHING, type Plan } from "./plan.ts";
import type { World } from "./questions/world.ts";

const CERTIFICATES = { folder: "certificates", serverNames: ["cache.example.com"], clients: ["ci"] };

async function folderOf(t: TestContext, files: Readonly<Record<string, string>> = {}) {
  const cwd = await tempDir(t);
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text, { mode: 0o600 });
  const options = { cwd, environment: {} };
  const target = async () => await readTarget({ ...options, configPath: undefined });
  const prepared = async (plan: Plan) => {
    const its = await target();
    const ready = await prepare(its, plan, options);
    return { target: its, ready };
  };
  const planOf = async (differs: Partial<Plan["answers"]>, making: Partial<Plan["making"]> = {}): Promise<Plan> => ({
    answers: { ...answersOf(await target()), ...differs },
    making: { ...NOTHING, ...making },
  });
  return { cwd, options, target, prepared, planOf, path: (name: string) => join(cwd, name) };
}

const OWN = {
  tls: { kind: "files", cert: "certificates/cache.pem", key: "certificates/cache-key.pem", ca: "certificates/ca.pem" },
} as const;
const PEOPLE = {
  anonymous: false,
  networks: [],
  htpasswd: "users.htpasswd",
  mtlsCa: "certificates/ca.pem",
  paths: [{ name: "lab", tokenFile: "lab.token" }],
};
const MAKING = {
  authority: CERTIFICATES,
  tokens: ["lab.token"],
  users: [{ file: "users.htpasswd", name: "ann", password: "correct horse" }],
};

test("everything is tried before anything is written, and then written, with secrets for their owner alone", async (t) => {
  const { cwd, prepared, planOf, path, options } = await folderOf(t);
  const { target, ready } = await prepared(await planOf({ ...OWN, access: PEOPLE }, MAKING));
  assert.equal(ready.hasUsers, true);
  assert.deepEqual(ready.config.warnings, []);
  assert.deepEqual(await readdir(cwd), []);
  await write(target, ready);
  assert.deepEqual((await readdir(cwd)).toSorted(), [
    "certificates",
    "lab.token",
    "registry-cache.yaml",
    "users.htpasswd",
  ]);
  for (const name of ["lab.token", "users.htpasswd", "certificates/ca-key.pem", "certificates/ci-key.pem"]) {
    assert.equal((await stat(path(name))).mode & 0o777, 0o600, name);
  }
  const config = await loadConfig(options);
  assert.deepEqual(config.warnings, []);
  assert.equal(config.tls?.files.cert, path("certificates/cache.pem"));
});

test("the same plan a second time changes nothing: no key, no secret and no certificate is made anew", async (t) => {
  const { prepared, planOf } = await folderOf(t);
  const plan = await planOf({ ...OWN, access: PEOPLE }, { ...MAKING, users: [] });
  const first = await prepared(plan);
  await write(first.target, first.ready);
  const again = await prepared(await planOf({}, { ...MAKING, users: [] }));
  assert.deepEqual(changedPaths(again.target, again.ready), []);
});

test("further names have another certificate, for the same key and by the same authority", async (t) => {
  const { prepared, planOf, path } = await folderOf(t);
  const first = await prepared(await planOf(OWN, { authority: CERTIFICATES }));
  await write(first.target, first.ready);
  const more = { ...CERTIFICATES, serverNames: ["cache.example.com", "hub.example.com"] };
  const second = await prepared(await planOf({}, { authority: more }));
  assert.deepEqual(changedPaths(second.target, second.ready), [path("certificates/cache.pem")]);
});

test("what the cache would refuse is never written, nor is anything beside it", async (t) => {
  const { cwd, prepared, planOf } = await folderOf(t, { "registry-cache.yaml": "workers: 2\n" });
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const plan = await planOf({ listen: ["0.0.0.0:5000"] }, { tokens: ["lab.token"] });
  const registries = plan.answers.registries.map((one) => (one.id === "quay" ? { ...one, credentials } : one));
  await assert.rejects(prepared({ ...plan, answers: { ...plan.answers, registries } }), ConfigError);
  assert.deepEqual(await readdir(cwd), ["registry-cache.yaml"]);
});

test("files that somebody else changed meanwhile stay as they are", async (t) => {
  const { prepared, planOf, path } = await folderOf(t, { "registry-cache.yaml": "workers: 2\n" });
  const { target, ready } = await prepared(await planOf({ dataDir: "/srv/data" }, { tokens: ["lab.token"] }));
  await writeFile(path("registry-cache.yaml"), "workers: 3\n");
  await assert.rejects(write(target, ready), ChangedMeanwhileError);
  assert.equal(await readFile(path("registry-cache.yaml"), "utf8"), "workers: 3\n");
  await assert.rejects(stat(path("lab.token")), { code: "ENOENT" });
});

test("where the configuration cannot be written, everything before it is put back", async (t) => {
  const files = { ".env": "OTHER=1\n", "users.htpasswd": "# none\n", blocker: "" };
  const { cwd, prepared, planOf, path } = await folderOf(t, files);
  const plan = await planOf(OWN, MAKING);
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const registries = plan.answers.registries.map((one) => (one.id === "quay" ? { ...one, credentials } : one));
  const { target, ready } = await prepared({ ...plan, answers: { ...plan.answers, registries } });
  const odd = { ...target, path: path("blocker/registry-cache.yaml") };
  await assert.rejects(write(odd, ready), { code: "EEXIST" });
  assert.deepEqual(await readdir(path("certificates")), []);
  await rm(path("certificates"), { recursive: true });
  assert.deepEqual((await readdir(cwd)).toSorted(), Object.keys(files).toSorted());
  for (const [name, text] of Object.entries(files)) assert.equal(await readFile(path(name), "utf8"), text);
});

test("a folder that is not there is made, and one that is not ours is told of before", async (t) => {
  const { options, prepared, planOf, path } = await folderOf(t);
  const target = await readTarget({ ...options, configPath: "a/b/mine.yaml" });
  assert.equal(await writeProblem(target), undefined);
  const { ready } = await prepared(await planOf({}));
  await write(target, ready);
  assert.match(await readFile(path("a/b/mine.yaml"), "utf8"), /^listen: 127\.0\.0\.1:5000$/m);
  const nobodys = await readTarget({ ...options, configPath: "file/mine.yaml" });
  await writeFile(path("file"), "");
  assert.equal(await writeProblem(nobodys), `${path("file")} is no folder`);
});

test("no name of a file leads out of where it is tried", async (t) => {
  const { options, planOf, path } = await folderOf(t);
  await mkdir(path("below"));
  const target = await readTarget({ ...options, configPath: "below/mine.yaml" });
  const users = [{ file: "../users", name: "ann", password: "correct horse" }];
  const access = { ...PEOPLE, htpasswd: "../users", mtlsCa: undefined, paths: [] };
  const ready = await prepare(target, await planOf({ access }, { users }), options);
  assert.deepEqual([ready.hasUsers, ready.config.warnings, await readdir(path(""))], [true, [], ["below"]]);
  await write(target, ready);
  assert.match(await readFile(path("users"), "utf8"), /^ann:/);
});

for (const [before, after] of [
  [undefined, 0o600],
  [0o644, 0o600],
  [0o640, 0o640],
  [0o600, 0o600],
] as const) {
  test(`.env with the mode ${before?.toString(8) ?? "of none"} has ${after.toString(8)} afterwards`, async (t) => {
    const files = before === undefined ? {} : { ".env": "OTHER=1\n" };
    const { prepared, planOf, path } = await folderOf(t, files);
    if (before !== undefined) await chmod(path(".env"), before);
    const plan = await planOf({});
    const credentials = { kind: "basic", username: "me", password: "se cret" } as const;
    const registries = plan.answers.registries.map((one) => (one.id === "quay" ? { ...one, credentials } : one));
    const { target, ready } = await prepared({ ...plan, answers: { ...plan.answers, registries } });
    await write(target, ready);
    assert.equal((await stat(path(".env"))).mode & 0o777, after);
    assert.match(await readFile(path(".env"), "utf8"), /^REGISTRY_CACHE_QUAY_PASSWORD='se cret'$/m);
    assert.doesNotMatch(await readFile(path("registry-cache.yaml"), "utf8"), /se cret/);
  });
}

test("a link is written through, and stays one", async (t) => {
  const { prepared, planOf, path } = await folderOf(t);
  await mkdir(path("elsewhere"));
  await writeFile(path("elsewhere/real.yaml"), "workers: 2\n");
  await symlink("elsewhere/real.yaml", path("registry-cache.yaml"));
  const { target, ready } = await prepared(await planOf({ dataDir: "/srv/data" }));
  await write(target, ready);
  assert.ok((await lstat(path("registry-cache.yaml"))).isSymbolicLink());
  assert.match(await readFile(path("elsewhere/real.yaml"), "utf8"), /^workers: 2\n\n.*\ndata_dir: \/srv\/data\n$/);
});

test("it is found where a start would find it, and a named one may be new", async (t) => {
  const { cwd, options } = await folderOf(t, { "mine.yaml": "workers: 2\n" });
  const named = await readTarget({ ...options, configPath: "mine.yaml" });
  assert.deepEqual([named.name, named.isNew, named.yaml], ["mine.yaml", false, "workers: 2\n"]);
  const environment = { REGISTRY_CACHE_CONFIG: "other.yaml" };
  const other = await readTarget({ cwd, environment, configPath: undefined });
  assert.deepEqual([other.path, other.isNew], [join(cwd, "other.yaml"), true]);
  await mkdir(join(cwd, "registry-cache.yaml"));
  await assert.rejects(readTarget({ ...options, configPath: undefined }), ConfigError);
});

/** Answers each question by a number: the choice of that position, and nothing but what is offered. */
function askerBy(numbers: readonly number[]): Asker {
  let at = 0;
  const next = () => numbers[(at += 1) % numbers.length] ?? 0;
  const plain = scriptedAsker();
  return {
    ...plain,
    select: async (_question, choices, byDefault) => {
      const open = choices.filter(({ not }) => not === undefined);
      return open[next() % open.length]?.value ?? byDefault;
    },
    choose: async (question, choices, byDefault) => {
      const chosen = choices.filter(({ not }) => not === undefined).filter(() => next() % 2 === 0);
      // Rather than to be asked the same for ever.
      return chosen.length === 0 || /Which registries/.test(question)
        ? [...byDefault]
        : chosen.map(({ value }) => value);
    },
    text: async (question, how) => {
      if (question.startsWith("User at")) return "me";
      if (question.startsWith("Clients that get")) return next() % 2 === 0 ? "ci" : "";
      return await plain.text(question, how);
    },
    secret: async () => "correct horse",
    confirm: async () => next() % 2 === 0,
  };
}

test("whatever is chosen, what comes of it can be loaded, and a second time Enter changes no byte of it", async (t) => {
  const { cert, key } = selfSignedCertificate(["cache.example.com"]);
  await prove(
    fc.asyncProperty(fc.array(fc.nat(59), { minLength: 8, maxLength: 40 }), async (numbers) => {
      // By the names that are offered.
      const files = { "cache.pem": cert, "cache-key.pem": key, "clients-ca.pem": cert };
      const { cwd, options, target, prepared } = await folderOf(t, files);
      const first = await target();
      const trial = { verdict: "taken", message: "taken", quota: undefined } as const;
      const world: World = {
        ...machine(first, { ...options, version: "test" }),
        tryRegistry: async () => trial,
        hostname: "host.example.com",
      };
      const asker = askerBy(numbers);
      const plan = await converse({ asker, world, before: answersOf(first), isNew: true });
      const { ready } = await prepared(plan);
      await write(first, ready);
      const second = await target();
      const again = await converse({ asker: scriptedAsker(), world, before: answersOf(second), isNew: false });
      const { ready: same } = await prepared(again);
      assert.deepEqual(changedPaths(second, same), []);
      assert.deepEqual({ yaml: same.yaml, dotEnv: same.dotEnv }, { yaml: second.yaml, dotEnv: second.dotEnv });
      await rm(cwd, { recursive: true });
    }),
    25,
  );
});
