import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { VIEWS } from "../../test/support/cache-views.ts";
import { FakeHost } from "../../test/support/fake-host.ts";
import type { HasAfter } from "../../test/support/temp.ts";
import { BY_DEFAULT } from "./client.ts";
import { clientNamed } from "./clients.ts";
import { setupScript } from "./script.ts";
import type { CacheView } from "./view.ts";

function scriptOf(name: string, view: CacheView): string {
  const client = clientNamed(name);
  assert.ok(client);
  const secrets = {
    clientCert: "-----BEGIN CERTIFICATE-----\nAA==\n",
    clientKey: "-----BEGIN PRIVATE KEY-----\nAA==\n",
  };
  return setupScript(client, view, BY_DEFAULT, secrets);
}

/** Whatever changes a host is one of these programs. */
const CHANGING = ["mv", "cp", "rm", "mkdir", "rmdir", "ln"];

/** Kills all of a run before its N-th change of the host: no trap runs, no other command. */
async function killerAt(host: FakeHost, at: number): Promise<Record<string, string>> {
  const folder = join(host.tmp, "..", `kill-${at}`);
  await mkdir(folder, { recursive: true });
  const count = join(folder, "count");
  await writeFile(count, "0\n");
  for (const name of CHANGING) {
    const text = `#!/bin/sh
case "$*" in *"${host.root}"*)
  read -r n <"${count}"
  n=$((n + 1))
  echo "$n" >"${count}"
  if [ "$n" = ${at} ]; then kill -9 0; fi ;;
esac
PATH=/usr/bin:/bin exec ${name} "$@"
`;
    await writeFile(join(folder, name), text);
    await chmod(join(folder, name), 0o755);
  }
  return { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
}

/** Owner, mode, time and bytes of what clients read, and of nothing else. */
async function settings(host: FakeHost): Promise<Record<string, string>> {
  return Object.fromEntries(Object.entries(await host.tree()).filter(([name]) => name.startsWith("etc")));
}

const BEFORE = { "etc/docker/daemon.json": '{"debug":true}', "etc/docker/certs.d/x/ca.crt": "x" };
const FIRST = scriptOf("docker", VIEWS["client certificates"]);
const SECOND = scriptOf("docker", VIEWS["plain HTTP in a network"]);

/** More than there are. */
const CHANGES_MAX = 200;

/** Whether it was killed; the rest of the host's life is up to the caller. */
async function killed(host: FakeHost, script: string, at: number, flags: readonly string[] = []): Promise<boolean> {
  const { exitCode, err } = await host.run(script, { flags, environment: await killerAt(host, at) });
  assert.ok(exitCode === undefined || exitCode === 0, err);
  return exitCode === undefined;
}

interface Life {
  readonly title: string;
  readonly before: (host: FakeHost) => Promise<void>;
  readonly script: string;
  readonly flags?: readonly string[];
  readonly every: number;
}

const APPLIED = async (host: FakeHost): Promise<void> => void (await host.run(FIRST));

const LIVES: readonly Life[] = [
  { title: "the first", before: () => Promise.resolve(), script: FIRST, every: 3 },
  { title: "one with other settings", before: APPLIED, script: SECOND, every: 5 },
  { title: "undoing", before: APPLIED, script: FIRST, flags: ["--undo"], every: 4 },
];

describe("a run that is killed before any of its changes", { concurrency: 3 }, () => {
  for (const { title, before, script, flags = [], every: usually } of LIVES) {
    // `make fuzz` has the time for all of them.
    const every = process.env["FUZZ_SECONDS"] === undefined ? usually : 1;
    test(`${title}: it is undone by the next one, or done again`, async (t) => {
      let at = 1;
      for (; at < CHANGES_MAX; at += every) {
        const host = await freshHost(t);
        const original = await settings(host);
        await before(host);
        if (!(await killed(host, script, at, flags))) break;
        // Every other time it is tried again first.
        if (Math.ceil(at / every) % 2 === 0) {
          const again = await host.run(script, { flags: flags.includes("--undo") ? [] : flags });
          assert.equal(again.exitCode, 0, `${at}: ${again.err}`);
        }
        const undone = await host.run(script, { flags: ["--undo"] });
        const isUndone = undone.exitCode === 0 || undone.err.startsWith("error: there is nothing to undo");
        assert.ok(isUndone, `${at}: ${undone.err}`);
        assert.deepEqual(await settings(host), original, `killed before change ${at}`);
        assert.deepEqual(
          Object.keys(await host.tree()).filter((name) => /^var\/lib\/./.test(name)),
          [],
          `${at}`,
        );
      }
      assert.ok(at > 10 && at < CHANGES_MAX, `${at}`);
    });
  }
});

async function freshHost(t: HasAfter): Promise<FakeHost> {
  const host = await FakeHost.create(t, BEFORE);
  await mkdir(host.path("var/lib"), { recursive: true });
  return host;
}
