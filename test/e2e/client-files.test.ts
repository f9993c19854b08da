import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { describe, test } from "node:test";

import { BY_DEFAULT, type ConnectOptions } from "../../src/connect/client.ts";
import { clientNamed } from "../../src/connect/clients.ts";
import { setupScript } from "../../src/connect/script.ts";
import type { CacheView } from "../../src/connect/view.ts";
import { VIEWS } from "../support/cache-views.ts";
import { testAuthority } from "../support/certificate.ts";
import { FakeHost } from "../support/fake-host.ts";
import type { HasAfter } from "../support/temp.ts";
import { builtPath, notBuilt } from "./support/built-tools.ts";

const authority = testAuthority();
const { cert, key } = authority.issue("ci-1");
const SECRETS = { user: "me", password: "a: 'b' \"c\"", clientCert: cert, clientKey: key };

const FILES = {
  k3s: "etc/rancher/k3s/registries.yaml",
  talos: "registry-cache-talos.yaml",
  kind: "registry-cache-kind/cluster.yaml",
} as const;

/** What the client's own code reads in the file that its script writes. */
async function readBy(
  t: HasAfter,
  name: keyof typeof FILES,
  view: CacheView,
  options: ConnectOptions = BY_DEFAULT,
): Promise<string[]> {
  const client = clientNamed(name);
  assert.ok(client);
  const host = await FakeHost.create(t);
  const isHere = client.scope === "user";
  const environment = isHere ? { DESTDIR: "" } : {};
  const flags = isHere ? [] : ["--variant", "k3s"];
  const { exitCode, err } = await host.run(setupScript(client, view, options, SECRETS), { environment, flags });
  assert.equal(exitCode, 0, err);
  const file = path.join(isHere ? host.home : host.root, FILES[name]);
  const text = execFileSync(builtPath("client-files"), [name, file], { encoding: "utf8" });
  return text.replaceAll(host.home, "HOME").trim().split("\n");
}

/** Those views that this client has settings for, with a true authority. */
const views = (name: string) =>
  Object.entries(VIEWS)
    .filter(([title]) => title !== "a secret path" && (name === "k3s" || !title.includes("loopback")))
    .map(([title, view]) => [title, view.ca === undefined ? view : { ...view, ca: authority.cert }] as const);

describe(
  "files for clients that cannot run here, as their own code reads them",
  { skip: notBuilt("client-files") },
  () => {
    for (const name of ["k3s", "talos", "kind"] as const) {
      test(`${name}: every kind of a cache`, async (t) => {
        for (const [title, view] of views(name)) assert.notDeepEqual(await readBy(t, name, view), [], title);
      });
    }

    const BOTH: CacheView = { ...VIEWS["passwords or client certificates"], ca: authority.cert };

    test("k3s: endpoints, and what is shown there", async (t) => {
      assert.deepEqual(await readBy(t, "k3s", BOTH), [
        "cache.example.com auth true tls true",
        "docker.io [https://cache.example.com/v2/docker.io]",
        "ghcr.io [https://cache.example.com/v2/ghcr.io]",
        "registry.corp.example:5000 [https://cache.example.com]",
      ]);
    });

    test("talos: endpoints, and a certificate with its key", async (t) => {
      assert.deepEqual(
        await readBy(t, "talos", BOTH, { only: ["docker.io", "registry.corp.example:5000"], fallback: false }),
        [
          "cache.example.com auth true tls true",
          "docker.io https://cache.example.com/v2/docker.io path true alone true",
          "registry.corp.example:5000 https://cache.example.com path false alone true",
        ],
      );
      assert.deepEqual(await readBy(t, "talos", VIEWS["a name for each registry"]), [
        "docker.io https://hub.cache.example.com path false alone false",
        "ghcr.io https://ghcr.cache.example.com path false alone false",
      ]);
    });

    test("kind: its node sees the folder", async (t) => {
      assert.deepEqual(await readBy(t, "kind", BOTH), [
        "control-plane HOME/registry-cache-kind/certs.d /etc/containerd/certs.d",
      ]);
    });
  },
);
