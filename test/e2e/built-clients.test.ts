import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { ask } from "../support/client.ts";
import { notBuilt } from "./support/built-tools.ts";
import { buildkit } from "./support/clients/buildkit.ts";
import {
  type BuiltClient,
  crane,
  helm,
  oras,
  publishChart,
  regctl,
  regctlByMirror,
  type TlsFiles,
} from "./support/clients/built.ts";
import { encoded } from "./support/login.ts";
import { skipReason } from "./support/tools.ts";
import type { Tree } from "./support/tree.ts";
import { createWorld, type World } from "./support/world.ts";

const CLIENTS: readonly BuiltClient[] = [crane, oras, regctl, helm, buildkit];
const NONE_BUILT =
  CLIENTS.every(({ tools }) => notBuilt(...tools) !== false) && notBuilt(...CLIENTS.flatMap(({ tools }) => tools));
const SKIP = skipReason(["podman", "skopeo", "tar"]) || NONE_BUILT;
const [USER, PASSWORD] = ["ci-1", "correct horse battery"];
const USERS = `${USER}:${hashSync(PASSWORD, 4)}\n`;
/** regctl says of a wrong password only that it has tried often enough. */
const REFUSED =
  /retry limit exceeded|unauthorized|authentication required|basic credential not found|401|403|denied|Forbidden/i;

/** What each of them must have got. */
async function expected(world: World, client: BuiltClient): Promise<Tree> {
  return client === helm ? await publishChart(world) : world.published.files.amd64;
}

for (const bearer of [false, true]) {
  describe(bearer ? "with tokens" : "with passwords", { skip: SKIP }, () => {
    let world: World;
    before(async () => {
      const access = { basic: { htpasswd: "users.htpasswd" }, bearer };
      world = await createWorld({ access, files: { "users.htpasswd": USERS } });
    });
    after(() => world?.end());

    for (const client of CLIENTS) {
      test(
        `${client.name} pulls with the right password, and with no other`,
        { skip: notBuilt(...client.tools) },
        async () => {
          const tree = await expected(world, client);
          await assert.rejects((await client.user(world)).pull(), REFUSED);
          const wrong = await client.user(world);
          await assert.rejects(
            wrong.login(USER, "wrong password").then(() => wrong.pull()),
            REFUSED,
          );
          const right = await client.user(world);
          await right.login(USER, PASSWORD);
          assert.deepEqual(await right.pull(), tree);
        },
      );
    }

    test("regctl pulls by Docker Hub's name, with the cache as its mirror", { skip: notBuilt("regctl") }, async () => {
      const user = await regctlByMirror.user(world);
      await user.login(USER, PASSWORD);
      assert.deepEqual(await user.pull(), world.published.files.amd64);
    });

    if (bearer) {
      test("crane pulls with a token of the cache, and with no other", { skip: notBuilt("crane") }, async () => {
        const { host } = world.cache;
        const headers = { Authorization: `Basic ${encoded(USER, PASSWORD)}` };
        const { token } = JSON.parse((await ask(`http://${host}/token`, { headers })).body.toString()) as {
          token: string;
        };
        for (const wrong of ["wrong", `${token.slice(0, -8)}wrongtok`]) {
          const user = await crane.user(world);
          await user.bear?.(wrong);
          await assert.rejects(user.pull(), REFUSED);
        }
        const user = await crane.user(world);
        await user.bear?.(token);
        assert.deepEqual(await user.pull(), world.published.files.amd64);
      });
    }

    test("no password is in the log", async () => {
      const log = await world.cache.log();
      for (const secret of [PASSWORD, "wrong password"]) {
        assert.ok(!log.includes(secret) && !log.includes(encoded(USER, secret)));
      }
    });
  });
}

describe("with client certificates", { skip: SKIP }, () => {
  const authority = testAuthority();
  const revoked = authority.issue("ci-2");
  const bad = {
    none: undefined,
    revoked,
    expired: authority.issue("ci-3", [], { validDays: [-9, -2] }),
    foreign: testAuthority("another authority").issue("ci-1"),
  };
  let world: World;
  before(async () => {
    const files = { "clients.pem": authority.cert, "revoked.pem": authority.revocations([revoked.serial]) };
    const access = { mtls: { ca: "clients.pem", crl: "revoked.pem", names: ["ci-*"] } };
    world = await createWorld({ tls: true, access, files });
  });
  after(() => world?.end());

  async function tlsFiles(name: string, pair: { cert: string; key: string } | undefined): Promise<TlsFiles> {
    const folder = path.join(world.runner.folder, "own", name);
    await mkdir(folder, { recursive: true });
    const [ca, cert, key] = ["ca.pem", "client.pem", "client-key.pem"].map((file) => path.join(folder, file)) as [
      string,
      string,
      string,
    ];
    await writeFile(ca, world.cache.ca ?? "");
    if (pair === undefined) return { ca };
    await writeFile(cert, pair.cert);
    await writeFile(key, pair.key);
    return { ca, own: { cert, key } };
  }

  for (const client of CLIENTS.filter((one) => one !== crane)) {
    const title = `${client.name} pulls with a certificate of the authority, and with none that is revoked, expired or foreign`;
    test(title, { skip: notBuilt(...client.tools) }, async () => {
      const tree = await expected(world, client);
      for (const [name, pair] of Object.entries(bad)) {
        const user = await client.user(world, await tlsFiles(name, pair));
        await assert.rejects(user.pull(), REFUSED);
      }
      const user = await client.user(world, await tlsFiles("good", authority.issue("ci-1")));
      assert.deepEqual(await user.pull(), tree);
    });
  }

  test("crane can show none, and is refused", { skip: notBuilt("crane") }, async () => {
    await assert.rejects((await crane.user(world, await tlsFiles("crane", undefined))).pull(), REFUSED);
  });
});
