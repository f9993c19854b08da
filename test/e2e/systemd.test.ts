import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { byReference, skopeoCopy } from "./support/clients/containers.ts";
import { CHECKOUT } from "./support/deployment/image.ts";
import { type Machine, startMachine } from "./support/deployment/machine.ts";
import { freePort } from "./support/processes.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

/** All that an installation may touch. Backups of the user database are the system's own. */
const SUMS = `find /etc /opt /usr/local/bin /var/lib/registry-cache \\( -type f -o -type l \\) ! -path '/etc/*-' -exec sha256sum {} + 2>/dev/null | sort -k 2`;

describe("installed with systemd", { skip: skipReason(["skopeo", "podman", "setpriv"]) }, () => {
  let world: World;
  let machine: Machine;
  let port: number;
  let before_: string;
  const make = async (...args: string[]): Promise<string> => {
    return await machine.run("make", "--no-print-directory", "-C", CHECKOUT, "METHOD=systemd", ...args);
  };

  before(async () => {
    world = await createWorld();
    machine = await startMachine(world);
    port = await freePort();
    const upstream = { upstream: world.origin.url, allow_private_addresses: true, tags: NEVER };
    const config = { listen: `127.0.0.1:${port}`, registries: { dockerhub: upstream } };
    await machine.write(path.join(CHECKOUT, "registry-cache.yaml"), JSON.stringify(config));
    await machine.write(path.join(CHECKOUT, ".env"), "REGISTRY_CACHE_LOG_LEVEL=debug\n", "600");
    before_ = await machine.run("sh", "-c", SUMS);
  });
  after(() => world?.end());

  async function pull(): Promise<void> {
    const version = { title: "by tag", suffix: ":1", platform: "amd64" } as const;
    const client = await skopeoCopy(() => byReference(`127.0.0.1:${port}/docker.io`))(world);
    assert.deepEqual(await client.pull(version, world.published.images.hub), world.published.files.amd64);
    await client.stop();
  }

  const sentBlobs = async (): Promise<number> => {
    return (await world.askedByCache()).filter(({ method, target }) => method === "GET" && target.includes("/blobs/"))
      .length;
  };
  const process_ = async (): Promise<string> => (await machine.run("systemctl", "status")).trim();

  test("it serves as a user of its own, who may write the data and read the configuration", async () => {
    assert.match(await make("install"), /^Registry Cache runs: http:\/\/127\.0\.0\.1:\d+ /m);
    await pull();
    assert.equal(
      (await machine.run("stat", "-c", "%a %U:%G", "/etc/registry-cache/.env")).trim(),
      "640 root:registry-cache",
    );
    assert.equal(
      (await machine.run("stat", "-c", "%a %U:%G", "/etc/registry-cache")).trim(),
      "750 root:registry-cache",
    );
    const pid = (await process_()).replace(/\D+/g, "");
    const status = await machine.run("cat", `/proc/${pid}/status`);
    assert.doesNotMatch(status, /^Uid:\s+0/m);
    // CAP_NET_BIND_SERVICE alone.
    assert.match(status, /^CapBnd:\s+0000000000000400$/m);
    assert.match(await machine.run("registry-cache", "health"), /^ready: /);
    assert.match(await make("status"), /active/);
  });

  test("installed again it goes on, untouched", async () => {
    const running = await process_();
    await make("install");
    assert.equal(await process_(), running);
  });

  test("a version that does not get ready makes way for the one before", async () => {
    const dist = path.join(CHECKOUT, "dist");
    const breaks = 'if (process.argv.includes("serve")) process.exit(3);';
    await machine.run("sh", "-c", `cp ${dist}/main.js /root/good.js && sed -i '1a ${breaks}' ${dist}/main.js`);
    await assert.rejects(make("upgrade"), /error: the new version did not become ready; the one before it runs again/);
    await pull();
    await machine.run("sh", "-c", `cp /root/good.js ${dist}/main.js`);
  });

  test("uninstalled and installed again it has what it had", async () => {
    await make("uninstall");
    await assert.rejects(pull());
    const sent = await sentBlobs();
    await make("install");
    await pull();
    assert.equal(await sentBlobs(), sent);
  });

  test("destroyed it leaves the machine as it was", async () => {
    await make("destroy", "YES=1");
    assert.equal(await machine.run("sh", "-c", SUMS), before_);
    await assert.rejects(machine.run("getent", "passwd", "registry-cache"));
  });
});

const NEVER = [{ match: "*", revalidate_after: "never" }];
