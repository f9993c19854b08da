import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { testAuthority } from "../support/certificate.ts";
import { eventually } from "../support/open-files.ts";
import { notBuilt } from "./support/built-tools.ts";
import type { Acme } from "./support/cache.ts";
import { byTlsReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { HOSTNAMES } from "./support/processes.ts";
import { StepCa } from "./support/step-ca.ts";
import { shown } from "./support/shown.ts";
import { skipReason } from "./support/tools.ts";
import type { Tree } from "./support/tree.ts";
import { createWorld, type World } from "./support/world.ts";

const CLIENTS = [
  ["Podman", podmanPull],
  ["Skopeo", skopeoCopy],
] as const;
const REFUSED = /unauthorized|authentication required|403|denied|Forbidden/i;

const SKIP = skipReason(["podman", "skopeo"]) || notBuilt("step-ca");
/** Seconds: renewed when two thirds of it have passed. */
const SHORT_LIFE_S = 6;

/** Nothing says which names: those of the registries. */
function acmeFrom({ directory, httpPort, root }: StepCa): Acme {
  const settings = { directory, directory_ca: "root.pem", http_listen: `127.0.0.1:${httpPort}` };
  return { settings, ca: root };
}

async function serial({ cache }: World, name: string): Promise<string | undefined> {
  return await shown(cache.port, name, cache.ca ?? "").catch(() => undefined);
}

describe("with Step-CA", { skip: SKIP }, () => {
  let world: World;
  let authority: StepCa;
  let revoked: { cert: string; key: string };
  before(async () => {
    world = await createWorld(async (runner, onEnd) => {
      authority = await StepCa.start(runner);
      onEnd(() => authority.stop());
      revoked = await authority.certificate("ci-2");
      await authority.revoke(revoked.cert);
      return {
        tls: acmeFrom(authority),
        access: { mtls: { ca: "root.pem", crl: "revoked.pem", names: ["ci-*"] } },
        files: { "root.pem": authority.root, "revoked.pem": await authority.revocations() },
      };
    });
  });
  after(() => world?.end());

  async function certificates(own: { cert: string; key: string } | undefined): Promise<void> {
    const folder = path.join(world.runner.folder, ".config/containers/certs.d", world.cache.named("hub"));
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, "ca.crt"), authority.root);
    if (own === undefined) return;
    await writeFile(path.join(folder, "client.cert"), own.cert);
    await writeFile(path.join(folder, "client.key"), own.key);
  }

  test("the cache has a certificate for every host name of its registries", async () => {
    await eventually(async () => (await serial(world, HOSTNAMES.hub)) !== undefined);
    for (const name of Object.values(HOSTNAMES)) {
      assert.equal(await serial(world, name), await serial(world, HOSTNAMES.hub));
    }
  });

  for (const [name, make] of CLIENTS) {
    test(`${name} trusts it by Step-CA's root, and pulls with a certificate that Step-CA has given it`, async () => {
      const image = world.published.images.hub;
      const pull = async (): Promise<Tree> => {
        const client = await make(({ cache }) => byTlsReference(cache.named("hub")))(world);
        return await client.pull({ title: "by tag", suffix: `:${image.tag}`, platform: "amd64" }, image);
      };
      const foreign = testAuthority().issue("ci-1");
      for (const own of [undefined, await authority.certificate("someone"), revoked, foreign]) {
        await certificates(own);
        await assert.rejects(pull(), REFUSED);
      }
      await certificates(await authority.certificate("ci-1"));
      assert.deepEqual(await pull(), world.published.files.amd64);
    });
  }

  test("the log says who was revoked", async () => {
    const log = await world.cache.log();
    assert.ok(log.includes('"certificate":"CERT_REVOKED"') && log.includes('"principal":"ci-1"'));
  });
});

describe("with Step-CA, and a short life", { skip: SKIP }, () => {
  let world: World;
  before(async () => {
    world = await createWorld(async (runner, onEnd) => {
      const authority = await StepCa.start(runner, SHORT_LIFE_S);
      onEnd(() => authority.stop());
      return { tls: acmeFrom(authority), files: { "root.pem": authority.root } };
    });
  });
  after(() => world?.end());

  test("the certificate is renewed in time", async () => {
    let first: string | undefined;
    await eventually(async () => (first = await serial(world, HOSTNAMES.hub)) !== undefined);
    await eventually(async () => ![undefined, first].includes(await serial(world, HOSTNAMES.hub)));
  });
});
