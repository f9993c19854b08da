import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import type { Config } from "./config.ts";

const idsOf = (config: Config): string[] => config.registries.map(({ id }) => id);

describe("registries that the environment chooses", () => {
  it("are on, whatever the file says, and no others are", async (t) => {
    const folder = await configFolder(t);
    const file = "registries:\n  quay: { enabled: false }\n  corp: { serves: r.example, upstream: http://r.example }";
    const environment = { REGISTRY_CACHE_REGISTRIES: "dockerhub, quay,corp" };
    const config = await folder.load({ files: yaml(file), environment });
    assert.deepEqual(idsOf(config), ["dockerhub", "quay", "corp"]);
    assert.equal(config.defaultRegistry, "dockerhub");
  });

  it("have the first one as their default where Docker Hub is not among them", async (t) => {
    const folder = await configFolder(t);
    const environment = { REGISTRY_CACHE_REGISTRIES: "quay,ghcr" };
    assert.equal((await folder.load({ environment })).defaultRegistry, "quay");
    const files = yaml("default_registry: ghcr");
    assert.equal((await folder.load({ files, environment })).defaultRegistry, "ghcr");
    assert.deepEqual(await folder.complaints({ files: yaml("default_registry: gcr"), environment }), [
      'error: registry-cache.yaml:1: default_registry: the default registry "gcr" is not enabled',
      "hint: write for example `default_registry: ghcr`",
    ]);
  });

  it("must be there", async (t) => {
    const folder = await configFolder(t);
    assert.deepEqual(await folder.complaints({ environment: { REGISTRY_CACHE_REGISTRIES: "dockerhub,qay" } }), [
      'error: REGISTRY_CACHE_REGISTRIES: there is no registry "qay"',
      'hint: did you mean "quay"?',
    ]);
    assert.deepEqual(await folder.complaints({ environment: { REGISTRY_CACHE_REGISTRIES: "dockerhub,," } }), [
      'error: REGISTRY_CACHE_REGISTRIES: there is no registry ""',
      "hint: the registries here are dockerhub, ghcr, quay, gcr, k8s, gitlab, ecr, lscr, codeberg",
    ]);
  });

  it("have their host names there as well", async (t) => {
    const folder = await configFolder(t);
    const files = yaml("registries: { ghcr: { hostnames: [a.example] }, quay: { hostnames: [q.example] } }");
    const environment = { REGISTRY_CACHE_GHCR_HOSTNAMES: "GHCR.example.com, g.example.com" };
    const { registries } = await folder.load({ files, environment });
    const hostnames = (id: string) => registries.find((one) => one.id === id)?.hostnames;
    assert.deepEqual(hostnames("ghcr"), ["ghcr.example.com", "g.example.com"]);
    assert.deepEqual(hostnames("quay"), ["q.example"]);
    const twice = { REGISTRY_CACHE_GHCR_HOSTNAMES: "q.example" };
    assert.match(
      (await folder.complaints({ files, environment: twice })).join("\n"),
      /"q\.example" already belongs to/,
    );
    const wrong = { REGISTRY_CACHE_GHCR_HOSTNAMES: "https://ghcr.example.com" };
    assert.deepEqual(await folder.complaints({ environment: wrong }), [
      'error: REGISTRY_CACHE_GHCR_HOSTNAMES: "https://ghcr.example.com" is not a host name',
      "hint: write ghcr.example.com, without scheme, port and path",
    ]);
  });
});

describe("networks and proxies in the environment", () => {
  it("stand above the file's", async (t) => {
    const folder = await configFolder(t);
    const files = yaml("trusted_proxies: [10.0.0.1]\naccess: { networks: [10.0.0.0/8], hosts: [c.example] }");
    const environment = {
      REGISTRY_CACHE_NETWORKS: "192.168.0.0/16, fd00::/8",
      REGISTRY_CACHE_TRUSTED_PROXIES: "172.30.0.0/28",
    };
    const { access, trustedProxies } = await folder.load({ files, environment });
    assert.deepEqual(access.networks, ["192.168.0.0/16", "fd00::/8"]);
    assert.deepEqual(access.hosts, ["c.example"]);
    assert.deepEqual(trustedProxies, ["172.30.0.0/28"]);
  });

  it("are checked like the file's", async (t) => {
    const folder = await configFolder(t);
    const said = await folder.complaints({ environment: { REGISTRY_CACHE_NETWORKS: "10.0.0.0/8,lan" } });
    assert.match(said[0] ?? "", /^error: REGISTRY_CACHE_NETWORKS: "lan" is no address or network/);
  });

  it("keep strangers from an upstream's credentials", async (t) => {
    const folder = await configFolder(t);
    const open = {
      REGISTRY_CACHE_LISTEN: "0.0.0.0:5000",
      REGISTRY_CACHE_DOCKERHUB_USERNAME: "me",
      REGISTRY_CACHE_DOCKERHUB_PASSWORD: "secret",
    };
    assert.match((await folder.complaints({ environment: open })).join("\n"), /anybody who reaches 0\.0\.0\.0:5000/);
    await folder.load({ environment: { ...open, REGISTRY_CACHE_NETWORKS: "10.0.0.0/8" } });
  });
});
