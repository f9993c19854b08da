import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request } from "node:https";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { containerdPull, mirror } from "./support/clients/containerd.ts";
import { byTlsReference, podmanPull } from "./support/clients/containers.ts";
import type { Client } from "./support/contract.ts";
import { encoded, logIn } from "./support/login.ts";
import { HOSTNAMES, OUTER_NAME, outerAddress } from "./support/processes.ts";
import { type Proxy, PROXIES } from "./support/proxies.ts";
import { skipReason } from "./support/tools.ts";
import type { Tree } from "./support/tree.ts";
import { createWorld, type World } from "./support/world.ts";

const SKIP = skipReason(["podman", "containerd", "ctr", "runc", "nginx", "caddy"]);
const NAMES = Object.keys(PROXIES) as (keyof typeof PROXIES)[];
const [USER, PASSWORD] = ["ci-1", "correct horse battery"];
const FILES = { "users.htpasswd": `${USER}:${hashSync(PASSWORD, 4)}\n` };
const TRUSTED = { trustedProxies: ["127.0.0.1"] };
const REFUSED = /unauthorized|authentication required|401|403|denied|Forbidden/i;

async function pull(world: World, make: (world: World) => Promise<Client>): Promise<Tree> {
  const image = world.published.images.hub;
  const client = await make(world);
  try {
    return await client.pull({ title: "by tag", suffix: `:${image.tag}`, platform: "amd64" }, image);
  } finally {
    await client.stop();
  }
}

/** By the proxy's name for Docker Hub, or by another of its names. */
const podman = (prefix: string) => podmanPull(() => byTlsReference(prefix));

async function containerd(world: World, { port, ca }: Proxy, header: string, own?: { cert: string; key: string }) {
  const folder = await world.folder("certs");
  const files = { "ca.pem": ca, "client.pem": own?.cert ?? "", "client-key.pem": own?.key ?? "" };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  const url = `https://${HOSTNAMES.hub}:${port}`;
  const client = own === undefined ? "" : `  client = [["${folder}/client.pem", "${folder}/client-key.pem"]]\n`;
  const more = header === "" ? "" : `  [host."${url}".header]\n    Authorization = "${header}"\n`;
  return containerdPull(() => ({ "docker.io": mirror(url, `  ca = "${folder}/ca.pem"\n${client}${more}`) }));
}

/** Where Podman looks for what it shows to a host, and whom it trusts there. */
async function certificates(world: World, host: string, ca: string, own?: { cert: string; key: string }) {
  const folder = path.join(world.runner.folder, ".config/containers/certs.d", host);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const files = { "ca.crt": ca, ...(own === undefined ? {} : { "client.cert": own.cert, "client.key": own.key }) };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
}

interface Asked {
  /** The client's own address, any of the loopback's. */
  readonly from?: string;
  readonly headers?: Record<string, string>;
  readonly own?: { readonly cert: string; readonly key: string };
}

/** One request through the proxy for `/v2/`, by its name for Docker Hub. */
async function through({ port, ca }: Proxy, { from, headers = {}, own }: Asked = {}) {
  const to = { host: "127.0.0.1", port, path: "/v2/", servername: HOSTNAMES.hub, agent: false, ca, ...own };
  const named = { Host: `${HOSTNAMES.hub}:${port}`, ...headers };
  const [response] = (await once(
    request({ ...to, headers: named, ...(from === undefined ? {} : { localAddress: from }) }).end(),
    "response",
  )) as [IncomingMessage];
  response.resume();
  return response;
}

for (const bearer of [false, true]) {
  describe(
    bearer ? "tokens of the cache, behind a proxy" : "passwords of the cache, behind a proxy",
    { skip: SKIP },
    () => {
      let world: World;
      before(async () => {
        const access = { basic: { htpasswd: "users.htpasswd" }, bearer };
        world = await createWorld({ ...TRUSTED, access, files: FILES });
      });
      after(() => world?.end());

      for (const name of NAMES) {
        test(`${name}: Podman and containerd pull with the right password, and with no other`, async () => {
          const proxy = await PROXIES[name](world);
          const host = `${HOSTNAMES.hub}:${proxy.port}`;
          await certificates(world, host, proxy.ca);
          for (const password of [undefined, "wrong password"]) {
            await logIn(world.runner.folder, host, USER, password);
            await assert.rejects(pull(world, podman(host)), REFUSED);
          }
          await logIn(world.runner.folder, host, USER, PASSWORD);
          assert.deepEqual(await pull(world, podman(host)), world.published.files.amd64);
          await assert.rejects(pull(world, await containerd(world, proxy, "")));
          const header = `Basic ${encoded(USER, PASSWORD)}`;
          assert.deepEqual(await pull(world, await containerd(world, proxy, header)), world.published.files.amd64);
        });

        test(`${name}: clients are told to come back by https, and by the name that they came by`, async () => {
          const proxy = await PROXIES[name](world);
          const { headers } = await through(proxy);
          const outer = `https://${HOSTNAMES.hub}:${proxy.port}`;
          assert.match(
            headers["www-authenticate"] ?? "",
            bearer ? new RegExp(`^Bearer realm="${outer}/token"`) : /^Basic /,
          );
        });
      }
    },
  );
}

describe("client certificates of the proxy, and networks of the cache", { skip: SKIP }, () => {
  const authority = testAuthority();
  const good = authority.issue("ci-1");
  const own = outerAddress();
  let world: World;
  before(async () => {
    const networks = ["127.0.0.1", "127.0.0.2", ...(own === undefined ? [] : [own])];
    world = await createWorld({ ...TRUSTED, access: { networks } });
  });
  after(() => world?.end());

  for (const name of NAMES) {
    test(`${name}: Podman and containerd pull with a certificate of the authority, and with no other`, async () => {
      const proxy = await PROXIES[name](world, { clientsCa: authority.cert });
      const host = `${HOSTNAMES.hub}:${proxy.port}`;
      const expired = authority.issue("ci-1", [], { validDays: [-9, -2] });
      for (const bad of [undefined, expired, testAuthority("another authority").issue("ci-1")]) {
        await certificates(world, host, proxy.ca, bad);
        await assert.rejects(pull(world, podman(host)));
        await assert.rejects(pull(world, await containerd(world, proxy, "", bad)));
      }
      await certificates(world, host, proxy.ca, good);
      assert.deepEqual(await pull(world, podman(host)), world.published.files.amd64);
      assert.deepEqual(await pull(world, await containerd(world, proxy, "", good)), world.published.files.amd64);
    });

    test(`${name}: networks are those of the clients themselves, whatever they say`, async () => {
      const proxy = await PROXIES[name](world);
      const status = async (asked: Asked) => (await through(proxy, asked)).statusCode;
      assert.equal(await status({ from: "127.0.0.2" }), 200);
      assert.equal(await status({ from: "127.0.0.3" }), 403);
      for (const said of ["127.0.0.2", "127.0.0.2, 127.0.0.1", "127.0.0.1"]) {
        const headers = { "X-Forwarded-For": said, "X-Real-IP": said, Forwarded: `for=${said}` };
        assert.equal(await status({ from: "127.0.0.3", headers }), 403, said);
      }
    });

    test(
      `${name}: the log has the address of the client itself`,
      { skip: own === undefined && "this machine has no address but the loopback's" },
      async () => {
        const proxy = await PROXIES[name](world);
        const host = `${OUTER_NAME}:${proxy.port}`;
        await certificates(world, host, proxy.ca);
        const logged = (await world.cache.log()).length;
        const tree = await pull(world, podman(`${host}/docker.io`));
        assert.deepEqual(tree, world.published.files.amd64);
        assert.ok((await world.cache.log()).slice(logged).includes(`"client":"${own}"`));
      },
    );
  }

  test("past the proxies nobody is believed", async () => {
    const status = async (from: string, headers: Record<string, string>) => {
      const to = { host: "127.0.0.1", port: world.cache.port, path: "/v2/", localAddress: from, headers, agent: false };
      const [response] = (await once(plainRequest(to).end(), "response")) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    assert.equal(await status("127.0.0.2", {}), 200);
    assert.equal(await status("127.0.0.3", { "X-Forwarded-For": "127.0.0.2" }), 403);
  });
});
