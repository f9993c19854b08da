import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import type { Client } from "../contract.ts";
import { toolPath } from "../tools.ts";
import { treeOf } from "../tree.ts";
import type { World } from "../world.ts";

/** Pulls, mounts, copies the files out and forgets all of it. One shell: the mount lives in this command's namespace. */
const PULL_SCRIPT = `
set -eu
"$CTR" images pull --hosts-dir "$HOSTS" --platform "$PLATFORM" "$REFERENCE"
mkdir -p "$MOUNT"
"$CTR" images mount --platform "$PLATFORM" "$REFERENCE" "$MOUNT"
cp -a "$MOUNT/." "$OUT"
"$CTR" images unmount --rm "$MOUNT"
"$CTR" images remove --sync "$REFERENCE"
test -z "$("$CTR" content list --quiet)"
`;

/** A hosts.toml by the folder's name that containerd looks for: a registry's host name or `_default`. */
export type HostsFiles = Readonly<Record<string, string>>;

/** One mirror without conditions, the text of a hosts.toml. */
export function mirror(url: string, more = ""): string {
  return `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n${more}`;
}

/** `ctr images pull` of the image's own name, with a containerd of its own and these hosts.toml, or those of a folder. */
export function containerdPull(hosts: (world: World) => HostsFiles | string): (world: World) => Promise<Client> {
  return async (world) => {
    const folder = await world.folder("c");
    const given = hosts(world);
    const hostsFolder = typeof given === "string" ? given : path.join(folder, "hosts");
    for (const [name, text] of typeof given === "string" ? [] : Object.entries(given)) {
      await mkdir(path.join(hostsFolder, name), { recursive: true });
      await writeFile(path.join(hostsFolder, name, "hosts.toml"), text);
    }
    const socket = path.join(folder, "s");
    const stop = await startContainerd(world, folder, socket);
    return {
      pull: async ({ suffix, platform }, { registry, repository }) => {
        const out = await world.folder("rootfs");
        await world.runner.run(["sh", "-c", PULL_SCRIPT], {
          CTR: toolPath("ctr"),
          CONTAINERD_ADDRESS: socket,
          HOSTS: hostsFolder,
          PLATFORM: `linux/${platform}`,
          REFERENCE: `${registry}/${repository}${suffix}`,
          MOUNT: path.join(folder, "mount"),
          OUT: out,
        });
        const tree = await treeOf(out);
        await rm(out, { recursive: true });
        return tree;
      },
      stop: async () => {
        await stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  };
}

/** A containerd of its own; gives what stops it. */
export async function startContainerd(world: World, folder: string, socket: string): Promise<() => Promise<void>> {
  const config = path.join(folder, "config.toml");
  await writeFile(
    config,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
`,
  );
  const ready = (): Promise<boolean> =>
    world.runner.run([toolPath("ctr"), "--address", socket, "--connect-timeout", "1s", "version"]).then(
      () => true,
      () => false,
    );
  const command = [toolPath("containerd"), "--config", config];
  const daemon = await world.runner.start(path.basename(folder), command, { ready });
  const stop = (): Promise<void> => daemon.stop();
  world.onEnd(stop);
  return stop;
}
