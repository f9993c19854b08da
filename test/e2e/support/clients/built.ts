import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { type BuiltTool, builtPath } from "../built-tools.ts";
import { toolPath } from "../tools.ts";
import { type Tree, treeOf } from "../tree.ts";
import type { World } from "../world.ts";
import { treeOfLayout } from "./containers.ts";

/** PEM files for a client: whom it trusts, and what it shows of itself. */
export interface TlsFiles {
  readonly ca: string;
  readonly own?: { readonly cert: string; readonly key: string };
}

/** One user of one client: with a home folder of its own, so that nothing that was typed before counts. */
export interface User {
  /** As its documentation has it. Rejects where the client tries the password at once and is refused. */
  login(name: string, password: string): Promise<unknown>;
  /** Shows this token instead of getting one itself, where the client can. */
  bear?(token: string): Promise<void>;
  /** Pulls by tag; gives the files that came. */
  pull(): Promise<Tree>;
}

export interface BuiltClient {
  readonly name: string;
  readonly tools: readonly BuiltTool[];
  /** With `tls` the cache is spoken to by TLS. */
  user(world: World, tls?: TlsFiles): Promise<User>;
}

/** Runs the client with a new home folder. */
async function atHome(world: World, tool: BuiltTool, env: Record<string, string> = {}) {
  const home = await world.folder("home");
  const run = async (...args: string[]): Promise<string> =>
    await world.runner.run([builtPath(tool), ...args], { HOME: home, ...env });
  return { home, run };
}

const credentials = (name: string, password: string) => ["--username", name, "--password", password];

/** It has no mirrors and no client certificates; whom to trust is known by Go's own variable. */
export const crane: BuiltClient = {
  name: "crane",
  tools: ["crane"],
  user: async (world, tls) => {
    const { home, run } = await atHome(world, "crane", tls === undefined ? {} : { SSL_CERT_FILE: tls.ca });
    const { host } = world.cache;
    return {
      login: async (name, password) => await run("auth", "login", host, ...credentials(name, password)),
      bear: async (registrytoken) => {
        await mkdir(path.join(home, ".docker"));
        await writeFile(
          path.join(home, ".docker/config.json"),
          JSON.stringify({ auths: { [host]: { registrytoken } } }),
        );
      },
      pull: async () => {
        const [tar, root] = [path.join(home, "image.tar"), path.join(home, "root")];
        await run("export", "--platform", "linux/amd64", `${host}/docker.io/library/e2e:1`, tar);
        await mkdir(root);
        await world.runner.run([toolPath("tar"), "-x", "-f", tar, "-C", root]);
        return await treeOf(root);
      },
    };
  },
};

export const oras: BuiltClient = {
  name: "oras",
  tools: ["oras"],
  user: async (world, tls) => {
    const { home, run } = await atHome(world, "oras");
    const { host } = world.cache;
    return {
      login: async (name, password) => await run("login", host, ...flagsFor(tls), ...credentials(name, password)),
      pull: async () => {
        const [layout, reference] = [path.join(home, "layout"), `${host}/docker.io/library/e2e:1`];
        const from = flagsFor(tls).map((flag) => flag.replace(/^--/, "--from-"));
        await run("copy", ...from, reference, "--to-oci-layout", `${layout}:1`);
        return await treeOfLayout(world, layout);
      },
    };
  },
};

/** oras and helm call them alike. */
function flagsFor(tls: TlsFiles | undefined): string[] {
  if (tls === undefined) return ["--plain-http"];
  const own = tls.own === undefined ? [] : ["--cert-file", tls.own.cert, "--key-file", tls.own.key];
  return ["--ca-file", tls.ca, ...own];
}

/** It keeps all of it in a configuration of its own. */
export const regctl: BuiltClient = {
  name: "regctl",
  tools: ["regctl"],
  user: async (world, tls) => await regctlUser(world, tls, `${world.cache.host}/docker.io/library/e2e:1`),
};

/** Docker Hub's own name, with the cache as its mirror. */
export const regctlByMirror: BuiltClient = {
  name: "regctl",
  tools: ["regctl"],
  user: async (world, tls) => {
    const mirror = ["registry", "set", "docker.io", "--skip-check", "--mirror", world.cache.host];
    return await regctlUser(world, tls, "docker.io/library/e2e:1", mirror);
  },
};

async function regctlUser(
  world: World,
  tls: TlsFiles | undefined,
  reference: string,
  setting?: readonly string[],
): Promise<User> {
  const { home, run } = await atHome(world, "regctl");
  const { host } = world.cache;
  if (setting !== undefined) await run(...setting);
  await run("registry", "set", host, "--skip-check", ...(await regctlTls(tls)));
  return {
    login: async (name, password) => await run("registry", "login", host, "--user", name, "--pass", password),
    pull: async () => {
      const layout = path.join(home, "layout");
      await run("image", "copy", reference, `ocidir://${layout}:1`);
      return await treeOfLayout(world, layout);
    },
  };
}

/** It wants the texts, not their files. */
async function regctlTls(tls: TlsFiles | undefined): Promise<string[]> {
  if (tls === undefined) return ["--tls", "disabled"];
  const trusted = ["--cacert", await readFile(tls.ca, "utf8")];
  if (tls.own === undefined) return trusted;
  const { cert, key } = tls.own;
  return [...trusted, "--client-cert", await readFile(cert, "utf8"), "--client-key", await readFile(key, "utf8")];
}

const CHART = { name: "e2e", version: "0.1.0" } as const;

/** A chart beside the images: packed, pushed to the upstream, pulled by `oci://`. */
export const helm: BuiltClient = {
  name: "helm",
  tools: ["helm"],
  user: async (world, tls) => {
    const { home, run } = await atHome(world, "helm");
    const { host } = world.cache;
    return {
      login: async (name, password) =>
        await run("registry", "login", host, ...flagsFor(tls), ...credentials(name, password)),
      pull: async () => {
        const folder = path.join(home, "charts");
        await mkdir(folder);
        const chart = `oci://${host}/docker.io/charts/${CHART.name}`;
        await run("pull", chart, "--version", CHART.version, ...flagsFor(tls), "--destination", folder);
        return await treeOf(folder);
      },
    };
  },
};

/** Puts a chart into the upstream; gives what `helm pull` must bring. */
export async function publishChart(world: World): Promise<Tree> {
  const { home, run } = await atHome(world, "helm");
  const [chart, packed] = [path.join(home, CHART.name), path.join(home, "packed")];
  await mkdir(path.join(chart, "templates"), { recursive: true });
  await writeFile(path.join(chart, "Chart.yaml"), JSON.stringify({ apiVersion: "v2", ...CHART }));
  await writeFile(path.join(chart, "templates/empty.yaml"), "# nothing\n");
  await run("package", chart, "--destination", packed);
  const file = `${CHART.name}-${CHART.version}.tgz`;
  await run("push", path.join(packed, file), `oci://${world.origin.host}/charts`, "--plain-http");
  const tree = await treeOf(packed);
  await rm(home, { recursive: true });
  return tree;
}
