import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import type { ImageAnswer, StatusAnswer } from "../src/admin/api/answers.ts";
import { type ApiSite, startApiSite } from "./support/api-site.ts";
import { NO_FILES, selfSignedCertificate } from "./support/certificate.ts";
import { type Command, type Outcome, startCommand } from "./support/command.ts";
import { tempDir } from "./support/temp.ts";

interface CommandSite extends ApiSite {
  /** On the cache's own machine. */
  readonly run: (...args: string[]) => Promise<Outcome>;
  readonly start: (...args: string[]) => Command;
}

async function setUp(t: TestContext, options: Parameters<typeof startApiSite>[1] = {}): Promise<CommandSite> {
  const site = await startApiSite(t, options);
  const folder = await tempDir(t);
  const config = join(folder, "config.yaml");
  await writeFile(config, `data_dir: ${site.dataDir}\n`);
  const start = (...args: string[]) => startCommand(t, [...args, "--config", config], { cwd: folder });
  return { ...site, start, run: async (...args) => await start(...args).ended() };
}

/** An image that is held, with two tags of which one has moved. */
async function pulled(site: ApiSite) {
  const old = site.upstream.addImage("library/app", "1", { seed: 1 });
  const pull = async (tag: string, image: typeof old) => {
    const paths = [`manifests/${tag}`, ...[image.config, ...image.layers].map(({ digest }) => `blobs/${digest}`)];
    for (const path of paths) {
      assert.equal((await site.ask("GET", `/v2/library/app/${path}`, { user: "me" })).status, 200, path);
    }
  };
  await pull("1", old);
  const other = site.upstream.addImage("library/other", "1", { seed: 2 });
  const path = `/v2/library/other/manifests/1`;
  assert.equal((await site.ask("GET", path, { user: "me" })).status, 200);
  return { old, other };
}

suite("commands for the running cache", () => {
  test("ls, show and history say what it holds, as text and as JSON", async (t) => {
    const site = await setUp(t);
    const { old } = await pulled(site);
    const list = await site.run("ls", "--sort", "size");
    assert.equal(list.exitCode, 0, list.err);
    assert.match(list.out, /^IMAGE +SIZE +LAST PULL +PULLS +PLATFORMS\ndocker\.io\/library\/app:1 [^]*\n2 images\n$/);
    const { images, hasMore } = JSON.parse((await site.run("ls", "--limit", "1", "--json")).out) as {
      images: ImageAnswer[];
      hasMore: boolean;
    };
    assert.deepEqual([images.map(({ repository }) => repository), hasMore], [["docker.io/library/app"], true]);
    const names = async (...args: string[]) => {
      const all = JSON.parse((await site.run("ls", "--json", ...args)).out) as { images: ImageAnswer[] };
      return all.images.map(({ repository }) => repository.slice("docker.io/library/".length));
    };
    assert.deepEqual(await names("--reverse"), ["other", "app"]);
    assert.deepEqual(await names("--reverse", "--sort", "size", "--limit", "1"), ["other"]);
    assert.deepEqual(await names("--sort", "lastPulled"), await names("--sort", "pulled"));
    assert.match((await site.run("ls", "--unused", "1h")).out, /nothing is held that fits/);
    for (const asked of [
      ["docker.io/library/*"],
      ["library/app:*"],
      ["app:[0-9]"],
      ["--registry", "docker.io", "--tag", "1"],
      ["--repository", "docker.io/library/app"],
      ["--repository", "docker.io/library/*"],
    ]) {
      assert.match((await site.run("ls", ...asked)).out, /library\/app:1 /, asked.join(" "));
    }
    assert.match((await site.run("ls", "docker.io/library/app:2*")).out, /nothing is held that fits/);
    assert.match((await site.run("ls", "other")).out, /library\/other:1[^]*\n1 image\n$/);
    const shown = JSON.parse((await site.run("show", "app:1", "--json")).out) as ImageAnswer;
    const bytes = old.size + old.config.size + old.layers.reduce((sum, { size }) => sum + size, 0);
    assert.deepEqual(
      [shown.digest, shown.size, shown.pulls, shown.pullers?.map(({ name }) => name)],
      [old.digest, bytes, 1, ["me"]],
    );
    assert.match((await site.run("show", "docker.io/library/app:1")).out, /pulled by +me +1 pull/);
    assert.match((await site.run("history", "app:1")).out, new RegExp(`^docker.io/library/app:1\n {2}${old.digest}\n`));
    const none = await site.run("show", "app:none");
    assert.deepEqual([none.exitCode, none.out], [1, ""]);
    assert.match(none.err, /^error: app:none is not held, but these tags are: 1\n/);
  });

  test("pin, unpin, evict and prune", async (t) => {
    const site = await setUp(t);
    const { old } = await pulled(site);
    assert.match(
      (await site.run("pin", "app:1", "--note", "the good one")).out,
      /^pinned: docker\.io\/library\/app:1\n$/,
    );
    assert.match((await site.run("pin", "--list")).out, /^docker\.io\/library\/app:1 {2}the good one$/m);
    const kept = await site.run("evict", "app:1");
    assert.equal(kept.exitCode, 1);
    assert.match(kept.out, /^stays: docker\.io\/library\/app:1 \(pinned by docker\.io\/library\/app:1\)$/m);
    assert.equal((await site.run("unpin", "app:1")).exitCode, 0);
    const unpinned = await site.run("unpin", "app:1");
    assert.deepEqual([unpinned.exitCode, unpinned.err], [1, "error: app:1 is not pinned\n"]);
    const plan = await site.run("evict", "app:*", "docker.io/library/app:*", "--dry-run");
    assert.equal(plan.exitCode, 2, plan.err);
    const dry = await site.run("evict", "docker.io/library/app:*", "--dry-run");
    assert.match(dry.out, /1 image would go, and \d/);
    assert.equal((await site.run("show", "app:1")).exitCode, 0);
    const gone = await site.run("evict", "app:1");
    assert.deepEqual([gone.exitCode, gone.err], [0, ""]);
    assert.match(gone.out, /1 image went, and \d/);
    assert.equal((await site.run("show", "app:1")).exitCode, 1);
    assert.equal((await site.run("pin", "other")).out, "pinned: all of docker.io/library/other\n");
    for (const none of ["ohter", "docker.io/library/ohter*", "other:2"]) {
      assert.match(
        (await site.run("pin", none)).out,
        /^pinned: .*\(nothing that is held fits: is it spelled right\?\)\n$/,
      );
    }
    const short = `app@${old.digest.slice(0, "sha256:0123456789ab".length)}`;
    for (const command of ["pin", "show", "evict", "history"]) {
      const { exitCode, err } = await site.run(command, short);
      assert.deepEqual(
        [exitCode, /^error: .*the digest is cut short: .registry-cache ls --json. has/.test(err)],
        [2, true],
      );
    }
    const tags = "not held, but these tags are: 1";
    assert.match((await site.run("evict", "other")).out, new RegExp(`^stays: other \\(${tags}\\)$`, "m"));
    assert.equal((await site.run("show", "other")).err, `error: other is ${tags}\n`);
    assert.match((await site.run("prune", "--dry-run")).out, /^0 images would go/);
    assert.match((await site.run("prune")).out, /^0 images went/);
    // It comes back with the next pull.
    assert.equal((await site.ask("GET", `/v2/library/app/manifests/${old.digest}`, { user: "me" })).status, 200);
  });

  test("a tag that was pinned at a digest leads there, until it is unpinned", async (t) => {
    const site = await setUp(t, { registry: { tags: [{ match: "*", revalidate: { kind: "always" } }] } });
    const { old } = await pulled(site);
    const leadsTo = async () =>
      (await site.ask("HEAD", "/v2/library/app/manifests/1", { user: "me" })).headers["docker-content-digest"];
    const broken = site.upstream.addImage("library/app", "1", { seed: 9 });
    assert.equal(await leadsTo(), broken.digest);
    const held = await site.run("pin", `app:1@${old.digest}`, "--note", "the new one breaks");
    assert.equal(held.out, `tag held: docker.io/library/app:1@${old.digest}\n`);
    assert.equal(await leadsTo(), old.digest);
    assert.match((await site.run("history", "app:1")).out, new RegExp(`${old.digest}\n.*held here`));
    const pin = `docker.io/library/app:1@${old.digest}`;
    const good = JSON.parse((await site.run("show", `app@${old.digest}`, "--json")).out) as ImageAnswer;
    assert.equal(good.pinned, pin);
    const { tags } = JSON.parse((await site.run("show", "app:1", "--json")).out) as ImageAnswer;
    assert.deepEqual(
      tags.map(({ digest, heldAt }) => [digest, heldAt]),
      [[broken.digest, old.digest]],
    );
    assert.match((await site.run("ls", "app")).out, /yes[^]*^held: clients that ask for .*\/app:1 get sha256:/m);
    assert.equal((await site.run("unpin", "app:1")).out, `pinned no longer: docker.io/library/app:1@${old.digest}\n`);
    assert.equal(await leadsTo(), broken.digest);
    const unknown = await site.run("pin", `app:1@sha256:${"0".repeat(64)}`);
    assert.deepEqual([unknown.exitCode, unknown.out], [1, ""]);
    assert.match(
      unknown.err,
      /docker\.io\/library\/app has no sha256:0+, here or upstream, so that no tag can be held there/,
    );
    assert.equal(await leadsTo(), broken.digest);
    const next = site.upstream.addImage("library/app", "next", { seed: 10 });
    assert.match(
      (await site.run("pin", `app:1@${next.digest}`)).out,
      /^tag held: .*; it is not in the store yet, the next pull fetches it\n$/,
    );
  });

  test("of several, what cannot be pinned or unpinned keeps nothing of the others back, and each is told of", async (t) => {
    const site = await setUp(t);
    const pinned = await site.run("pin", "app:1", "NOT AN IMAGE", "app:2");
    assert.equal(pinned.exitCode, 1);
    assert.match(pinned.out, /^pinned: docker.io\/library\/app:1 .*\npinned: docker.io\/library\/app:2 .*\n$/);
    assert.match(pinned.err, /^error: .*NOT AN IMAGE/);
    const held = [1, 2].map(
      (seed) => `docker.io/library/app:3@${site.upstream.addImage("library/app", "3", { seed }).digest}`,
    );
    assert.equal((await site.run("pin", ...held)).exitCode, 0);
    const unpinned = await site.run("unpin", "app:9", "app:2", "app:3", "--json");
    assert.equal(unpinned.exitCode, 1);
    assert.deepEqual(
      (JSON.parse(unpinned.out) as { pins: { image: string }[] }).pins.map(({ image }) => image),
      ["docker.io/library/app:2"],
    );
    assert.match(unpinned.err, /^error: app:9 is not pinned\nerror: .*app:3 is held at several digests, so say which/);
    assert.match((await site.run("pin", "--list")).out, /^docker\.io\/library\/app:1\n(.*held there\n){2}$/m);
  });

  test("status, once and again and again", async (t) => {
    const site = await setUp(t);
    await pulled(site);
    const once = await site.run("status");
    assert.match(once.out, /^Registry Cache [^]*\npulls +2, of which 0 without upstream\n[^]*\ndockerhub /);
    const told = JSON.parse((await site.run("status", "--json")).out) as StatusAnswer;
    assert.equal(told.counts.pulls, 2);
    const lines = site.start("status", "--watch");
    await lines.said(/^\S+Z {2}held .* {2}served .* {2}saved .* {2}fills 0 at 0 B\/s {2}requests \d+\n/);
    lines.signal("SIGINT");
    assert.equal((await lines.ended()).exitCode, 0);
    const watched = site.start("status", "--watch", "--json");
    const [line = ""] = await watched.said(/^\{.*\}\n/);
    assert.equal((JSON.parse(line) as StatusAnswer).counts.pulls, 2);
    watched.signal("SIGINT");
    await watched.ended();
  });

  test("elsewhere, by TLS, as somebody who may", async (t) => {
    const tls = selfSignedCertificate();
    const site = await setUp(t, { config: { tls: { ...tls, files: NO_FILES }, api: ADMINS } });
    const folder = await tempDir(t);
    await writeFile(join(folder, "ca.pem"), tls.cert);
    await writeFile(join(folder, "password"), "correct horse\n");
    const there = async (args: string[], password?: string) => {
      const environment = password === undefined ? {} : { REGISTRY_CACHE_API_PASSWORD: password };
      return await startCommand(t, [...args, "--server", site.url], { cwd: folder, environment }).ended();
    };
    const trusting = ["--ca", "ca.pem"];
    const distrusted = await there(["status"]);
    assert.deepEqual([distrusted.exitCode, /is not trusted here[^]*--ca FILE/.test(distrusted.err)], [1, true]);
    const nobody = await there(["status", ...trusting]);
    assert.match(nobody.err, /^error: the cache refuses: .*\nhint: say who you are with --user NAME/);
    assert.match(
      (await there(["status", ...trusting, "--user", "ops"])).err,
      /wants a password[^]*REGISTRY_CACHE_API_PASSWORD/,
    );
    assert.equal((await there(["status", ...trusting, "--user", "ops"], "correct horse")).exitCode, 0);
    assert.equal(
      (await there(["pin", "app:1", ...trusting, "--user", "ops", "--password-file", "password"])).exitCode,
      0,
    );
    const notAdmin = await there(["pin", "app:2", ...trusting, "--user", "me"], "battery staple");
    assert.match(notAdmin.err, /me is not among api\.admins.*\nhint: name who asks under api: admins:/);
    const wrong = await there(["status", ...trusting, "--user", "ops"], "guessed");
    assert.match(wrong.err, /is wrong\nhint: look at --user, and at the password in REGISTRY_CACHE_API_PASSWORD/);
    const plain = site.url.replace("https:", "http:");
    const withoutTls = await startCommand(t, ["ls", "--server", plain], { cwd: folder }).ended();
    assert.deepEqual(
      [withoutTls.exitCode, withoutTls.err],
      [1, `error: what is at ${plain} does not answer plain HTTP\nhint: if it speaks TLS, say --server ${site.url}\n`],
    );
    const nowhere = await startCommand(t, ["ls", "--server", "http://127.0.0.1:9"], { cwd: folder }).ended();
    assert.deepEqual(
      [nowhere.exitCode, nowhere.err.startsWith("error: no cache can be asked at http://127.0.0.1:9")],
      [1, true],
    );
  });

  test("elsewhere, where no TLS is spoken", async (t) => {
    const site = await setUp(t);
    const server = site.url.replace("http:", "https:");
    const { exitCode, err } = await startCommand(t, ["ls", "--server", server], { cwd: site.dataDir }).ended();
    assert.deepEqual(
      [exitCode, err],
      [
        1,
        `error: what answers at ${server} does not speak TLS\n` +
          `hint: say --server ${site.url}, or name the port that speaks TLS\n`,
      ],
    );
  });

  test("what is wrong with a command line is told before anything is asked", async (t) => {
    const folder = await tempDir(t);
    for (const [args, message] of [
      [["evict"], /name either images or a registry/],
      [["evict", "app:1", "--registry", "quay"], /name either images or a registry/],
      [["pin"], /nothing to pin/],
      [["ls", "--unused", "long"], /--unused/],
      [["ls", "--sort", "colour"], /--sort/],
      [["ls", "--limit", "0"], /--limit/],
      [["status", "--user", "me"], /--server URL/],
      [["status", "--server", "https://cache.example.com/path"], /without a path/],
      [["status", "--server", "https://cache.example.com", "--cert", "a.pem"], /belong together/],
      [["images"], /did you mean registry-cache ls/],
    ] as const) {
      const { exitCode, err } = await startCommand(t, args, { cwd: folder }).ended();
      assert.equal(exitCode, 2, args.join(" "));
      assert.match(err, /^error: /);
      assert.match(err, message);
    }
  });

  test("each has help with an example", async (t) => {
    const folder = await tempDir(t);
    for (const name of ["status", "ls", "show", "history", "pin", "unpin", "evict", "prune", "warm"]) {
      const { exitCode, out } = await startCommand(t, [name, "--help"], { cwd: folder }).ended();
      assert.equal(exitCode, 0);
      assert.match(out, new RegExp(`\nExamples?:\n {2}\\$ .*registry-cache ${name}|kubectl`));
      assert.match(out, /--json/);
      assert.match(out, /--server <url>/);
    }
  });
});

const ADMINS = { hostnames: [], read: "pullers", metrics: "pullers", admins: ["ops"] } as const;
