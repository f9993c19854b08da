import assert from "node:assert/strict";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { treeOfHost } from "../../support/fake-host.ts";
import type { Tree } from "./tree.ts";
import type { World } from "./world.ts";

/** How a host comes to its script, and what the script is told. */
export interface Connecting {
  /** As in `/connect/CLIENT`. */
  readonly client: string;
  readonly variant?: string;
  /** The cache's address as this host has it; by default loopback. */
  readonly url?: string;
  /** Further flags of curl, by which the cache lets it in. */
  readonly curl?: readonly string[];
  /** Further flags of the script. */
  readonly flags?: readonly string[];
  /** The script's environment: what it shows the cache. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a host has before, which has to be there afterwards. */
export type HostFiles = Readonly<Record<string, string>>;

/** Where a script is had from, and run, as a person does it. */
const CURL_SH = 'cd "$HERE" && curl -fsSL $CURL_FLAGS "$URL/connect/$CLIENT" | sh -s -- "$@"';

/**
 * Sets a client up by `curl | sh` for this world's cache, twice, uses it, and undoes it: the host is then as it was, byte by byte.
 * That host's folders below /etc are what programs of the world's runner see in place of this machine's.
 */
export async function connected<T>(
  world: World,
  connecting: Connecting,
  before: HostFiles,
  use: (said: string) => Promise<T>,
): Promise<T> {
  const root = world.runner.hostRoot;
  await makeHost(root, before);
  try {
    const untouched = await treeOfHost(root);
    const said = await runScript(world, connecting);
    const applied = await treeOfHost(root);
    assert.match(await runScript(world, connecting), /^nothing to do: /);
    assert.deepEqual(await treeOfHost(root), applied);
    const logged = (await world.cache.log()).length;
    const result = await use(said);
    assert.match((await world.cache.log()).slice(logged), /"endpoint":"manifest"[^\n]*library\/e2e/);
    // Clients keep things of their own there.
    for (const name of ["etc/docker/key.json", "etc/containerd/nerdctl.toml"])
      await rm(path.join(root, name), { force: true });
    await runScript(world, connecting, ["--undo"]);
    assert.deepEqual(await treeOfHost(root), untouched);
    return result;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** The same for what is written in a working folder. */
export async function connectedHere(
  world: World,
  connecting: Connecting,
  home: string,
  use: (said: string) => Promise<void>,
): Promise<void> {
  const env = { ...connecting.env, DESTDIR: "", HERE: home, HOME: home };
  const untouched = await treeOfHost(home);
  const said = await runScript(world, { ...connecting, env }, ["--print"]);
  await runScript(world, { ...connecting, env });
  const logged = (await world.cache.log()).length;
  await use(said);
  assert.match((await world.cache.log()).slice(logged), /"endpoint":"manifest"[^\n]*library\/e2e/);
  if ((await treeOfHost(home))[".local/state/registry-cache/connect"] === undefined) return;
  await runScript(world, { ...connecting, env }, ["--undo"]);
  const left = Object.keys(await treeOfHost(home)).filter((name) => name.includes("registry-cache"));
  assert.deepEqual([left, untouched], [[], {}]);
}

/** A host of nothing but those files, for what asks what may be pulled at all. */
export async function makeHost(root: string, files: HostFiles): Promise<void> {
  for (const name of ["docker", "containers", "containerd"])
    await mkdir(path.join(root, "etc", name), { recursive: true });
  await mkdir(path.join(root, "var/lib"), { recursive: true });
  // Podman and its likes ask what may be pulled at all.
  await cp("/etc/containers/policy.json", path.join(root, "etc/containers/policy.json"));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
}

/** The text that it says. */
export async function runScript(
  { cache, runner }: World,
  { client, variant, url = `http://${cache.host}`, curl = [], env = {}, flags = [] }: Connecting,
  more: readonly string[] = [],
): Promise<string> {
  const all = [...(variant === undefined ? [] : ["--variant", variant]), ...flags, ...more];
  return await runner.run(["sh", "-c", CURL_SH, "sh", ...all], {
    CURL_FLAGS: curl.join(" "),
    URL: url,
    CLIENT: client,
    HERE: runner.folder,
    DESTDIR: runner.hostRoot,
    ...env,
  });
}

/** The files of the image that were built, whichever way they came. */
export function assertBuilt(world: World, tree: Tree): void {
  assert.deepEqual(tree, world.published.files.amd64);
}
