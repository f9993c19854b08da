import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { VIEWS } from "../../test/support/cache-views.ts";
import { findProgram } from "../../test/support/programs.ts";
import { tempDir } from "../../test/support/temp.ts";
import { BY_DEFAULT } from "./client.ts";
import { CLIENTS } from "./clients.ts";
import { setupScript } from "./script.ts";

const SHELLCHECK = findProgram("shellcheck");

/** The parts are the same in all of them; what differs is what is looked at for each cache. */
const COMMON_VIEW = VIEWS["passwords or client certificates"];

test(
  "ShellCheck has nothing to say of any script",
  { skip: SHELLCHECK === undefined && "no shellcheck here" },
  async (t) => {
    const folder = await tempDir(t);
    const secrets = { user: "it's", password: `"$x\\` };
    const names = await Promise.all(
      CLIENTS.slice(0, 2).map(async (client) => {
        const file = join(folder, `${client.name}.sh`);
        await writeFile(file, setupScript(client, COMMON_VIEW, BY_DEFAULT, secrets));
        return file;
      }),
    );
    // What caches differ in: plans without the parts that are always the same.
    for (const [at, view] of Object.values(VIEWS).entries()) {
      const plans = CLIENTS.map((client) => {
        const script = setupScript(client, view, { only: ["docker.io"], fallback: false });
        const its = script.slice(script.indexOf("\nplan() {"), script.lastIndexOf("\nmain"));
        return its.replace("plan()", `plan_${client.name}()`).replace("notes()", `notes_${client.name}()`);
      });
      const calls = CLIENTS.map(({ name }) => `plan_${name}\nnotes_${name}\n`);
      const file = join(folder, `plans-${at}.sh`);
      const head = "#!/bin/sh\n# shellcheck disable=SC2034,SC2154 # the parts use and set them\nvariant=$1\n";
      await writeFile(file, [head, ...plans, "\n", ...calls].join(""));
      names.push(file);
    }
    const { stdout, status } = spawnSync(SHELLCHECK ?? "", ["--shell=sh", "--enable=deprecate-which", ...names], {
      encoding: "utf8",
    });
    assert.equal(stdout, "");
    assert.equal(status, 0);
  },
);
