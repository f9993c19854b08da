import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { containerdPull } from "./support/clients/containerd.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import type { Version } from "./support/contract.ts";
import { encoded } from "./support/login.ts";
import { OUTER_NAME, outerAddress } from "./support/processes.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const [USER, PASSWORD] = ["user", "correct horse battery"];
const authority = testAuthority();
const own = authority.issue("host-1");
const NO_OUTER = outerAddress() === undefined ? "this machine has no address but the loopback's" : false;

// What people have who come from nine containers of `registry:2` behind Traefik: a host name for each registry, TLS, and for
// clients Basic or mutual TLS, set up as the recipe for that says.
describe(
  "a host name for each registry, with TLS, as in the recipe of nine registries",
  { skip: skipReason(["dockerd", "docker", "containerd", "ctr", "runc", "tar"]) },
  () => {
    let world: World;
    before(async () => {
      world = await createWorld({
        tls: true,
        isOuter: outerAddress() !== undefined,
        access: { basic: { htpasswd: "users.htpasswd" }, mtls: { ca: "clients.pem" } },
        files: { "users.htpasswd": `${USER}:${hashSync(PASSWORD, 4)}\n`, "clients.pem": authority.cert },
      });
    });
    after(() => world?.end());

    /** `ca.cert`, `client.cert` and `client.key` in a folder, as the recipe names them. */
    async function certificates(): Promise<string> {
      const folder = await world.folder("certs");
      await writeFile(path.join(folder, "ca.cert"), world.cache.ca ?? "");
      await writeFile(path.join(folder, "client.cert"), own.cert);
      await writeFile(path.join(folder, "client.key"), own.key);
      return folder;
    }

    function hostsToml(registry: string, host: string, more: string): string {
      return `server = "https://${registry}"\n\n[host."https://${host}"]\n  capabilities = ["pull", "resolve"]\n${more}`;
    }

    const OF_REGISTRIES = [
      ["hub", "docker.io"],
      ["ghcr", "ghcr.io"],
    ] as const;

    for (const [name, registry] of OF_REGISTRIES) {
      for (const [how, more] of [
        [
          "a password",
          (folder: string, host: string) =>
            `  ca = "${folder}/ca.cert"\n  [host."https://${host}".header]\n    Authorization = ["Basic ${encoded(USER, PASSWORD)}"]\n`,
        ],
        [
          "a client certificate",
          (folder: string) =>
            `  ca = "${folder}/ca.cert"\n  client = [["${folder}/client.cert", "${folder}/client.key"]]\n`,
        ],
      ] as const) {
        test(`containerd pulls images of ${registry} by its own host name, with ${how}`, async () => {
          const folder = await certificates();
          const image = world.published.images[name];
          const version: Version = { title: "by tag", suffix: `:${image.tag}`, platform: "amd64" };
          const client = await containerdPull(({ cache }) => {
            const host = cache.named(name);
            return { [registry]: hostsToml(registry, host, more(folder, host)) };
          })(world);
          assert.deepEqual(await client.pull(version, image), world.published.files.amd64);
          await client.stop();
        });
      }
    }

    test(
      "Docker pulls from its mirror with a client certificate, where the authority's file is not called as in the recipe",
      { skip: NO_OUTER },
      async () => {
        const host = `${OUTER_NAME}:${world.cache.port}`;
        const { etcDocker } = world.runner;
        const folder = path.join(etcDocker, "certs.d", host);
        const put = async (nameOfAuthority: string) => {
          await rm(folder, { recursive: true, force: true });
          await mkdir(folder, { recursive: true });
          await writeFile(path.join(folder, nameOfAuthority), world.cache.ca ?? "");
          await writeFile(path.join(folder, "client.cert"), own.cert);
          await writeFile(path.join(folder, "client.key"), own.key);
        };
        await put("ca.cert");
        const engine = await DockerEngine.start(world, { mirrors: [`https://${host}`] });
        const pull = async () => await engine.docker("pull", "--quiet", "library/e2e:1");
        await assert.rejects(pull(), /missing key ca\.key for client certificate ca\.cert/);
        await put("ca.crt");
        await pull();
        assert.deepEqual(await engine.unpackAndForget("library/e2e:1"), world.published.files.amd64);
        await engine.stop();
        await rm(etcDocker, { recursive: true });
      },
    );
  },
);
