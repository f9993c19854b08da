import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { builtPath } from "../built-tools.ts";
import { logIn } from "../login.ts";
import { type Tree, treeOf } from "../tree.ts";
import type { World } from "../world.ts";
import type { BuiltClient, TlsFiles } from "./built.ts";

/** `FROM` an image of Docker Hub, by a buildkitd of its own that has the cache as mirror. */
export const buildkit: BuiltClient = {
  name: "BuildKit",
  tools: ["buildctl", "buildkitd"],
  user: async (world, tls) => {
    const folder = await world.folder("b");
    const address = await startBuildkit(world, folder, tls);
    const context = path.join(folder, "context");
    await mkdir(context);
    await writeFile(path.join(context, "Dockerfile"), "FROM library/e2e:1\nLABEL built=here\n");
    return {
      // Passwords are the command line's affair, the daemon asks it for them.
      login: async (name, password) => await logIn(folder, world.cache.host, name, password),
      pull: async () => await build(world, folder, address, context),
    };
  },
};

/** The same by a configuration that is there. */
export async function buildFrom(world: World, config: string, image: string): Promise<Tree> {
  const folder = await world.folder("b");
  const address = await startBuildkitd(world, folder, config);
  const context = path.join(folder, "context");
  await mkdir(context);
  await writeFile(path.join(context, "Dockerfile"), `FROM ${image}\nLABEL built=here\n`);
  return await build(world, folder, address, context);
}

async function build(world: World, folder: string, address: string, context: string): Promise<Tree> {
  const root = path.join(folder, "root");
  const how = ["build", "--no-cache", "--progress=plain", "--frontend=dockerfile.v0"];
  const inputs = ["--local", `context=${context}`, "--local", `dockerfile=${context}`];
  const output = ["--output", `type=local,dest=${root}`];
  const command = [builtPath("buildctl"), "--addr", address, ...how, ...inputs, ...output];
  await world.runner.run(command, { HOME: folder });
  return await treeOf(root);
}

async function startBuildkit(world: World, folder: string, tls: TlsFiles | undefined): Promise<string> {
  const config = path.join(folder, "buildkitd.toml");
  await writeFile(config, configuration(world.cache.host, tls));
  return await startBuildkitd(world, folder, config);
}

/** A buildkitd of its own; gives its address, as in BUILDKIT_HOST. */
export async function startBuildkitd(world: World, folder: string, config: string): Promise<string> {
  const address = `unix://${folder}/s`;
  const worker = ["--oci-worker-snapshotter=native", "--oci-worker-net=host", "--containerd-worker=false"];
  const places = ["--config", config, "--root", path.join(folder, "buildkit"), "--addr", address];
  const ready = (): Promise<boolean> =>
    world.runner.run([builtPath("buildctl"), "--addr", address, "debug", "workers"]).then(
      () => true,
      () => false,
    );
  const command = [builtPath("buildkitd"), ...places, ...worker];
  const daemon = await world.runner.start(path.basename(folder), command, { ready });
  world.onEnd(() => daemon.stop());
  return address;
}

function configuration(host: string, tls: TlsFiles | undefined): string {
  const mirror = `[registry."docker.io"]\n  mirrors = ["${host}"]\n[registry."${host}"]\n`;
  if (tls === undefined) return `${mirror}  http = true\n`;
  const { ca, own } = tls;
  const pair = `  [[registry."${host}".keypair]]\n    cert = "${own?.cert}"\n    key = "${own?.key}"\n`;
  // Otherwise it speaks plain HTTP on loopback.
  return `${mirror}  http = false\n  ca = ["${ca}"]\n${own === undefined ? "" : pair}`;
}
