import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";

import { BUILT_IN_REGISTRIES } from "../../src/config/built-in.ts";
import { loadConfig } from "../../src/config/load.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { builtPath, notBuilt } from "./support/built-tools.ts";
import { COMPOSE_VERSIONS, type ComposeVersion, notThere } from "./support/deployment/compose.ts";
import { CHECKOUT } from "./support/deployment/image.ts";
import { type KubernetesObject, schemaProblems } from "./support/deployment/kubernetes-schema.ts";
import { skipReason, toolPath } from "./support/tools.ts";
import { notFetched } from "./support/wheels.ts";

const run = promisify(execFile);
const PAGE = await readFile(path.join(CHECKOUT, "docs/deployment.md"), "utf8");

/** A block of docs/deployment.md. */
function documented(block: RegExp): string {
  const [, text = ""] = block.exec(PAGE) ?? [];
  assert.notEqual(text, "");
  return text;
}

describe("shell scripts", { skip: skipReason(["shellcheck"]) }, () => {
  /** Parts that are put together are checked where that is done. */
  const PARTS = /^(?:src\/connect|src\/doctor|scripts\/deploy)\//;

  test("have nothing that shellcheck warns of", async () => {
    const folders = ["bin", "scripts", "deploy", ".ci", "src"];
    const all = await Promise.all(
      folders.map(async (folder) => {
        const names = await readdir(path.join(CHECKOUT, folder), { recursive: true, withFileTypes: true });
        return names
          .filter((one) => one.isFile())
          .map((one) => path.relative(CHECKOUT, path.join(one.parentPath, one.name)));
      }),
    );
    const scripts: string[] = [];
    for (const file of all.flat().filter((one) => !PARTS.test(one) && !/\.(?:ts|json|yaml|cjs)$/.test(one))) {
      const text = await readFile(path.join(CHECKOUT, file), "utf8");
      if (file.endsWith(".sh") || /^#!.*\b(?:sh|bash)\n/.test(text)) scripts.push(file);
    }
    assert.ok(scripts.includes("scripts/deploy.sh") && scripts.includes("bin/registry-cache"), scripts.join());
    await run(toolPath("shellcheck"), ["-x", ...scripts], { cwd: CHECKOUT });
  });
});

describe("the systemd unit", { skip: skipReason(["systemd-analyze"]) }, () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), "rc-unit-"));
    // What it starts has to be there.
    const program = path.join(root, "opt/registry-cache/current/bin/registry-cache");
    await mkdir(path.dirname(program), { recursive: true });
    await writeFile(program, "#!/bin/sh\n", { mode: 0o755 });
    await mkdir(path.join(root, "etc/systemd/system"), { recursive: true });
    await cp(
      path.join(CHECKOUT, "deploy/systemd/registry-cache.service"),
      path.join(root, "etc/systemd/system/registry-cache.service"),
    );
    // Units that it is ordered after.
    for (const folder of ["usr/lib/systemd/system", "lib/systemd/system"])
      await cp("/usr/lib/systemd/system", path.join(root, folder), { recursive: true, verbatimSymlinks: true }).catch(
        () => undefined,
      );
  });
  after(() => rm(root, { recursive: true, force: true }));

  test("is right", async () => {
    const { stderr } = await run(toolPath("systemd-analyze"), ["verify", `--root=${root}`, "registry-cache.service"]);
    assert.deepEqual(
      stderr.split("\n").filter((line) => line.includes("registry-cache")),
      [],
    );
  });

  test("leaves the service little that it does not need", async () => {
    const unit = path.join(CHECKOUT, "deploy/systemd/registry-cache.service");
    // 1.7 with systemd 252; 9.6 without any of it.
    const { stdout } = await run(toolPath("systemd-analyze"), ["security", "--offline=yes", "--threshold=20", unit]);
    assert.match(stdout, /Overall exposure level for registry-cache\.service: [01]\.\d OK/);
  });
});

describe("the Compose files", { skip: skipReason(["docker-compose"]) }, () => {
  const ALONE = ["compose.yaml"];
  const ACME = [...ALONE, "deploy/compose/acme.yaml"];
  const LABELS = [...ALONE, "deploy/traefik/labels.yaml"];
  const TRAEFIK = [...LABELS, "deploy/traefik/compose.yaml"];
  const EXISTING = [...LABELS, "deploy/traefik/existing.yaml"];
  const ALL_CHOICES = ["anybody", "basic", "mtls"].flatMap((clients) =>
    ["letsencrypt", "step-ca"].flatMap((resolver) =>
      ["", "dockerhub,ghcr"].map((profiles) => [clients, resolver, profiles] as const),
    ),
  );
  // That one takes a second for each.
  const SOME_CHOICES = [
    ["anybody", "letsencrypt", ""],
    ["basic", "step-ca", "dockerhub,ghcr"],
    ["mtls", "letsencrypt", "ghcr"],
  ] as const;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "rc-compose-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  interface Model {
    readonly services: Record<
      string,
      {
        environment: Record<string, string>;
        labels?: Record<string, string>;
        ports?: unknown[];
        volumes: { source: string }[];
      }
    >;
  }

  async function config(
    version: ComposeVersion,
    files: readonly string[],
    variables: Readonly<Record<string, string>>,
  ): Promise<Model> {
    const env = path.join(folder, "env");
    await writeFile(
      env,
      Object.entries(variables)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    );
    const flags = [
      "--project-directory",
      CHECKOUT,
      "--env-file",
      env,
      ...files.flatMap((file) => ["-f", path.join(CHECKOUT, file)]),
    ];
    const format = version === "2" ? ["--format", "json"] : [];
    const { stdout } = await run(COMPOSE_VERSIONS[version](), [...flags, "config", ...format], {
      env: { PATH: process.env["PATH"] },
    });
    return parseAllDocuments(stdout)[0]?.toJS() as Model;
  }

  for (const version of Object.keys(COMPOSE_VERSIONS) as ComposeVersion[]) {
    describe(`with Compose ${version}`, { skip: notThere(version) }, () => {
      test("alone need nothing to be said", async () => {
        const { services } = await config(version, ALONE, {});
        const cache = services["registry-cache"];
        assert.deepEqual(Object.keys(services), ["registry-cache"]);
        assert.equal(cache?.environment["REGISTRY_CACHE_LISTEN"], "0.0.0.0:5000");
        assert.match(JSON.stringify(cache?.ports), /127\.0\.0\.1/);
        const open = await config(version, ACME, { CACHE_LISTEN: "", CACHE_PORT: "443" });
        assert.equal(open.services["registry-cache"]?.environment["REGISTRY_CACHE_LISTEN"], "");
        assert.equal(open.services["registry-cache"]?.ports?.length, 2);
      });

      for (const [clients, resolver, profiles] of version === "2" ? ALL_CHOICES : SOME_CHOICES) {
        test(`with Traefik: ${clients}, ${resolver}, ${profiles || "all registries"}`, async () => {
          const variables = { CACHE_DOMAIN: "r.example", CACHE_CLIENTS: clients, CACHE_RESOLVER: resolver };
          const model = await config(version, TRAEFIK, { ...variables, COMPOSE_PROFILES: profiles });
          const { "registry-cache": cache, traefik } = model.services;
          assert.equal(cache?.environment["REGISTRY_CACHE_REGISTRIES"], profiles);
          assert.equal(cache?.labels?.["traefik.http.routers.registry-cache.tls.certresolver"], resolver);
          const command = JSON.stringify(traefik);
          assert.match(command, new RegExp(`certificatesResolvers\\.${resolver}\\.acme\\.storage`));
          assert.match(command, new RegExp(`deploy/traefik/clients/${clients}\\.yaml`));
          await readFile(path.join(CHECKOUT, `deploy/traefik/clients/${clients}.yaml`));
        });
      }

      test("have a host name for each registry, in the cache as in Traefik", async () => {
        const { services } = await config(version, TRAEFIK, { CACHE_DOMAIN: "r.example" });
        const { environment, labels } = services["registry-cache"] ?? {};
        const rule = labels?.["traefik.http.routers.registry-cache.rule"] ?? "";
        const names = BUILT_IN_REGISTRIES.map(({ id }) => `${id}.r.example`);
        assert.deepEqual(
          [...rule.matchAll(/Host\(`([^`]+)`\)/g)].map(([, name = ""]) => name).toSorted(),
          ["r.example", ...names].toSorted(),
        );
        for (const { id } of BUILT_IN_REGISTRIES) {
          assert.equal(environment?.[`REGISTRY_CACHE_${id.toUpperCase()}_HOSTNAMES`], `${id}.r.example`);
        }
        // What the container is told makes a configuration.
        const cwd = await mkdtemp(path.join(folder, "config-"));
        const { registries, trustedProxies } = await loadConfig({
          environment: environment ?? {},
          cwd,
          isTerminal: false,
        });
        assert.equal(registries.length, BUILT_IN_REGISTRIES.length);
        assert.deepEqual(trustedProxies, ["172.31.250.2"]);
      });

      test("as docs/deployment.md has them for Traefik", async () => {
        const shown = documented(/^```\n(COMPOSE_FILE=.*?)^```$/ms)
          .split("\n")
          .filter((line) => line !== "");
        const variables = Object.fromEntries(shown.map((line) => line.split("=", 2) as [string, string]));
        const { services } = await config(version, variables["COMPOSE_FILE"]?.split(":") ?? [], variables);
        const labels = services["registry-cache"]?.labels ?? {};
        const domains = "traefik.http.routers.registry-cache.tls.domains[0]";
        assert.equal(labels[`${domains}.main`], "registry.example.com");
        assert.equal(labels[`${domains}.sans`], "dockerhub.registry.example.com,ghcr.registry.example.com");
      });

      test("with a Traefik that is there already", async () => {
        const variables = { CACHE_DOMAIN: "r.example", TRAEFIK_NETWORK: "web", TRAEFIK_ADDRESS: "172.20.0.0/16" };
        const { services } = await config(version, EXISTING, variables);
        assert.deepEqual(Object.keys(services), ["registry-cache"]);
        assert.equal(services["registry-cache"]?.labels?.["traefik.docker.network"], "web");
      });

      test("say what is missing", async () => {
        await assert.rejects(config(version, TRAEFIK, {}), /CACHE_DOMAIN|set it in \.env/);
        await assert.rejects(
          config(version, EXISTING, { CACHE_DOMAIN: "r.example" }),
          /TRAEFIK_NETWORK|the name of the network/,
        );
      });
    });
  }
});

describe("the Kubernetes manifests", { skip: notBuilt("kustomize") }, () => {
  const FOLDERS = ["base", "overlays/ingress", "overlays/tls"];
  let work: string;
  before(async () => {
    work = await mkdtemp(path.join(tmpdir(), "rc-kubernetes-"));
    await cp(path.join(CHECKOUT, "deploy/kubernetes"), work, { recursive: true });
  });
  after(() => rm(work, { recursive: true, force: true }));

  async function built(folder: string): Promise<KubernetesObject[]> {
    const { stdout } = await run(builtPath("kustomize"), ["build", path.join(work, folder)]);
    return parseAllDocuments(stdout).map((one) => one.toJS() as KubernetesObject);
  }

  function only(objects: readonly KubernetesObject[], kind: string): KubernetesObject {
    const [found, ...more] = objects.filter((one) => one.kind === kind);
    assert.ok(found !== undefined && more.length === 0, kind);
    return found;
  }

  interface ConfigMap extends KubernetesObject {
    readonly data: { "registry-cache.yaml": string };
  }

  interface StatefulSet extends KubernetesObject {
    readonly spec: {
      template: {
        spec: {
          terminationGracePeriodSeconds: number;
          containers: { image: string }[];
          volumes: { configMap?: { name: string } }[];
        };
      };
    };
  }

  for (const folder of FOLDERS) {
    test(`${folder}: fits the schemas of Kubernetes`, { skip: notFetched("kubernetes-schemas") }, async () => {
      const objects = await built(folder);
      assert.ok(objects.length > 2);
      assert.deepEqual(schemaProblems(objects), []);
      const wrong = { ...only(objects, "StatefulSet"), spec: { replicas: "1", serviceNam: "x" } };
      assert.deepEqual(schemaProblems([wrong]).toSorted(), [
        "StatefulSet.spec.replicas: is no integer or null",
        "StatefulSet.spec: has no key serviceNam",
        "StatefulSet.spec: has no selector",
        "StatefulSet.spec: has no template",
      ]);
    });

    test(`${folder}: its configuration is one, is mounted, and stops within the time that a pod has`, async () => {
      const objects = await built(folder);
      const map = only(objects, "ConfigMap") as ConfigMap;
      const { spec } = (only(objects, "StatefulSet") as StatefulSet).spec.template;
      assert.ok(spec.volumes.some(({ configMap }) => configMap?.name === map.metadata.name));
      const cwd = await mkdtemp(path.join(work, "config-"));
      const { cert, key } = selfSignedCertificate();
      await writeFile(path.join(cwd, "tls.crt"), cert);
      await writeFile(path.join(cwd, "tls.key"), key, { mode: 0o600 });
      await writeFile(
        path.join(cwd, "registry-cache.yaml"),
        map.data["registry-cache.yaml"].replaceAll("/tls/tls.", "tls."),
      );
      const environment = {
        REGISTRY_CACHE_LISTEN: "0.0.0.0:5000",
        REGISTRY_CACHE_DOCKERHUB_USERNAME: "me",
        REGISTRY_CACHE_DOCKERHUB_PASSWORD: "secret",
      };
      const config = await loadConfig({ environment, cwd, isTerminal: false });
      assert.ok(spec.terminationGracePeriodSeconds * 1000 > config.stopTimeoutMs);
    });
  }

  test("everything of an overlay lies in its namespace", async () => {
    for (const folder of FOLDERS.slice(1)) {
      const objects = await built(folder);
      const outside = objects.filter(
        ({ kind, metadata }) => kind !== "Namespace" && metadata.namespace !== "registry-cache",
      );
      assert.deepEqual(outside, []);
    }
  });

  test("are used by the example of docs/deployment.md", async () => {
    const root = await mkdtemp(path.join(work, "example-"));
    await cp(path.join(CHECKOUT, "deploy"), path.join(root, "registry-cache/deploy"), { recursive: true });
    await mkdir(path.join(root, "mine"));
    const shown = documented(/^```yaml\n(# kustomization\.yaml\n.*?)^```$/ms);
    await writeFile(path.join(root, "mine/kustomization.yaml"), shown);
    await writeFile(path.join(root, "mine/registry-cache.yaml"), "workers: 2\n");
    const objects = await built(path.relative(work, path.join(root, "mine")));
    assert.equal((only(objects, "ConfigMap") as ConfigMap).data["registry-cache.yaml"], "workers: 2\n");
    const [container] = (only(objects, "StatefulSet") as StatefulSet).spec.template.spec.containers;
    assert.equal(container?.image, "registry.example.com/registry-cache:1");
    only(objects, "NetworkPolicy");
  });

  test("credentials come from a file beside the component", async () => {
    await writeFile(path.join(work, "components/credentials/secrets.env"), "REGISTRY_CACHE_DOCKERHUB_USERNAME=me\n");
    await mkdir(path.join(work, "overlays/own"));
    const kustomization = { resources: ["../../base"], components: ["../../components/credentials"] };
    await writeFile(path.join(work, "overlays/own/kustomization.yaml"), JSON.stringify(kustomization));
    const objects = await built("overlays/own");
    const secret = only(objects, "Secret");
    assert.ok(JSON.stringify(only(objects, "StatefulSet")).includes(`"secretRef":{"name":"${secret.metadata.name}"`));
  });
});
