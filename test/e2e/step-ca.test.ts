import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { testAuthority } from "../support/certificate.ts";
import { notBuilt } from "./support/built-tools.ts";
import { patiently, shown } from "./support/certificates.ts";
import type { Acme } from "./support/cache.ts";
import { byTlsReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { freePort, HOSTNAMES } from "./support/processes.ts";
import { StepCa } from "./support/step-ca.ts";
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
function acmeFrom({ directory, root }: StepCa, more: Readonly<Record<string, unknown>>): Acme {
  return { settings: { directory, directory_ca: "root.pem", ...more }, ca: root };
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
        tls: acmeFrom(authority, { http_listen: `127.0.0.1:${authority.httpPort}` }),
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
    await patiently(async () => (await serial(world, HOSTNAMES.hub)) !== undefined);
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

describe("with Step-CA, by tls-alpn-01 and with a short life", { skip: SKIP }, () => {
  let world: World;
  before(async () => {
    world = await createWorld(async (runner, onEnd) => {
      const port = await freePort();
      const authority = await StepCa.start(runner, { lifeS: SHORT_LIFE_S, tlsPort: port });
      onEnd(() => authority.stop());
      const tls = acmeFrom(authority, { challenge: "tls-alpn-01", one_each: true });
      return { port, tls, files: { "root.pem": authority.root } };
    });
  });
  after(() => world?.end());

  test("each name has a certificate of its own by tls-alpn-01, which is renewed in time", async () => {
    const serials = async () =>
      await Promise.all(Object.values(HOSTNAMES).map(async (name) => await serial(world, name)));
    let first: (string | undefined)[] = [];
    await patiently(async () => !(first = await serials()).includes(undefined));
    assert.equal(new Set(first).size, first.length);
    await patiently(async () => (await serials()).every((one) => one !== undefined && !first.includes(one)));
  });
});
