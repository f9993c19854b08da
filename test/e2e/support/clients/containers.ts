import assert from "node:assert/strict";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import type { Client, Version } from "../contract.ts";
import type { PublishedImage } from "../images.ts";
import { toolPath } from "../tools.ts";
import { hashOf, type Tree, treeOf } from "../tree.ts";
import type { World } from "../world.ts";

/** What registries.conf says (its text), and which name is pulled. */
export interface Pointing {
  readonly registriesConf: string;
  readonly name: (image: PublishedImage) => string;
}

/** The image's own name, redirected by a `[[registry.mirror]]`. */
export function byMirror(registry: string, location: string): Pointing {
  const registriesConf = `
[[registry]]
prefix = "${registry}"
location = "${registry}"
[[registry.mirror]]
location = "${location}"
insecure = true
`;
  return { registriesConf, name: (image) => `${registry}/${image.repository}` };
}

/** The cache's address in front of a name. */
export function byReference(prefix: string): Pointing {
  const host = prefix.split("/", 1)[0] ?? "";
  const registriesConf = `[[registry]]\nlocation = "${host}"\ninsecure = true\n`;
  return { registriesConf, name: (image) => `${prefix}/${image.repository}` };
}

/** The same over TLS. Its authority lies where all of these tools look for it: below the home folder. */
export function byTlsReference(prefix: string): Pointing {
  return { registriesConf: "", name: (image) => `${prefix}/${image.repository}` };
}

type MakeClient = (pointing: (world: World) => Pointing) => (world: World) => Promise<Client>;

/** `podman pull`, then the mounted image. */
export const podmanPull: MakeClient = perPull(async (world, { flags, env, reference, version: { platform } }) => {
  const podman = (...args: string[]): Promise<string> => world.runner.run([toolPath("podman"), ...flags, ...args], env);
  const id = (await podman("pull", "--quiet", "--arch", platform, reference)).trim();
  const root = (await podman("image", "mount", id)).trim();
  return await treeOf(root);
});

/** `buildah from`, then the mounted working container. */
export const buildahFrom: MakeClient = perPull(async (world, { flags, env, reference, version: { platform } }) => {
  const buildah = (...args: string[]): Promise<string> =>
    world.runner.run([toolPath("buildah"), ...flags, ...args], env);
  const container = (await buildah("from", "--quiet", "--arch", platform, reference)).trim();
  const root = (await buildah("mount", container)).trim();
  return await treeOf(root);
});

/**
 * `skopeo copy --all` into a folder, each file of which is checked against the digest in its name, then the image of the
 * wanted platform unpacked from that folder: what other platforms hold has been through the cache as well.
 */
export const skopeoCopy: MakeClient = perPull(
  async (world, { folder, flags, env, conf, reference, version, image }) => {
    const copy = path.join(folder, "copy");
    const skopeo = [toolPath("skopeo"), "--registries-conf", conf, "copy", "--quiet"];
    await world.runner.run([...skopeo, "--all", `docker://${reference}`, `dir:${copy}`], env);
    await assertWhole(copy, version, image);
    const podman = [toolPath("podman"), ...flags];
    const pull = [...podman, "pull", "--quiet", "--arch", version.platform, `dir:${copy}`];
    const id = (await world.runner.run(pull, env)).trim();
    const root = (await world.runner.run([...podman, "image", "mount", id], env)).trim();
    return await treeOf(root);
  },
);

/** The files of the image that an OCI layout has as `1`. Podman checks each against its digest. */
export async function treeOfLayout(world: World, layout: string): Promise<Tree> {
  const folder = await world.folder("p");
  const copy = `dir:${path.join(folder, "copy")}`;
  await world.runner.run([toolPath("skopeo"), "copy", "--quiet", "--all", `oci:${layout}:1`, copy]);
  const podman = [toolPath("podman"), ...storageIn(folder)];
  const id = (await world.runner.run([...podman, "pull", "--quiet", "--arch", "amd64", copy])).trim();
  const tree = await treeOf((await world.runner.run([...podman, "image", "mount", id])).trim());
  await rm(folder, { recursive: true });
  return tree;
}

async function assertWhole(copy: string, { suffix }: Version, image: PublishedImage): Promise<void> {
  const top = suffix.startsWith("@") ? suffix.slice(1) : image.indexDigest;
  assert.equal(`sha256:${await hashOf(path.join(copy, "manifest.json"))}`, top);
  const others = (await readdir(copy)).filter((file) => file !== "manifest.json" && file !== "version");
  assert.notEqual(others.length, 0);
  for (const file of others) assert.equal(await hashOf(path.join(copy, file)), file.replace(/\.manifest\.json$/, ""));
  const text = await readFile(path.join(copy, "manifest.json"), "utf8");
  const { manifests = [] } = JSON.parse(text) as { manifests?: { digest: string }[] };
  for (const { digest } of manifests) assert.ok(others.includes(`${digest.replace("sha256:", "")}.manifest.json`));
}

interface Pull {
  readonly folder: string;
  /** Storage of its own for Podman and Buildah. */
  readonly flags: readonly string[];
  readonly env: Record<string, string>;
  readonly conf: string;
  readonly reference: string;
  readonly version: Version;
  readonly image: PublishedImage;
}

/** These tools have no daemon: each pull simply gets new folders. */
function perPull(pull: (world: World, pull: Pull) => Promise<Tree>): MakeClient {
  return (pointing) => async (world) => {
    const { registriesConf, name } = pointing(world);
    return {
      pull: async (version, image) => {
        const folder = await world.folder("p");
        const conf = path.join(folder, "registries.conf");
        await writeFile(conf, registriesConf);
        const flags = storageIn(folder);
        const env = { CONTAINERS_REGISTRIES_CONF: conf };
        const reference = `${name(image)}${version.suffix}`;
        const tree = await pull(world, { folder, flags, env, conf, reference, version, image });
        await rm(folder, { recursive: true });
        return tree;
      },
      stop: () => Promise.resolve(),
    };
  };
}

/** Flags for storage of its own. */
export function storageIn(folder: string): string[] {
  return ["--root", `${folder}/root`, "--runroot", `${folder}/run`, "--storage-driver", "vfs"];
}
