import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { copyFile, cp, mkdir, realpath, rm, symlink } from "node:fs/promises";
import path from "node:path";

import { findProgram } from "../../../support/programs.ts";
import type { DockerEngine } from "../clients/docker.ts";
import { SEARCH_PATH, toolPath } from "../tools.ts";
import type { World } from "../world.ts";

export const CHECKOUT = path.resolve(import.meta.dirname, "../../../..");
/** What the Dockerfile makes. */
export const IMAGE = "registry-cache:local";
export const BUILD_IMAGE = "local/build:1";
export const RUNTIME_IMAGE = "local/runtime:1";
const PATH_IN_IMAGES = "PATH=/usr/local/bin:/bin";

/** Programs of the build stage that are busybox's here. */
const APPLETS = ["sh", "cp", "mkdir", "chmod", "env"];

/**
 * Builds the image with the checkout's Dockerfile. Nothing can be pulled, so the base images are made of what this machine has: its C
 * library for one, and besides that Node.js, npm and busybox for the other. npm asks whatever registry it asks on this machine.
 */
export async function buildImage(world: World, engine: DockerEngine): Promise<void> {
  const folder = await world.folder("images");
  const [build, runtime] = [path.join(folder, "build"), path.join(folder, "runtime")];
  for (const root of [build, runtime]) await addLibraries(root);
  await addBuildTools(build);
  await importImage(world, engine, build, BUILD_IMAGE);
  await importImage(world, engine, runtime, RUNTIME_IMAGE);
  await rm(folder, { recursive: true });
  const bases = ["--build-arg", `BUILD_IMAGE=${BUILD_IMAGE}`, "--build-arg", `RUNTIME_IMAGE=${RUNTIME_IMAGE}`];
  const flags = ["--network", "host", ...bases, ...npmFlags(), "--tag", IMAGE, CHECKOUT];
  await engine.dockerWith({ DOCKER_BUILDKIT: "1" }, "build", "--quiet", ...flags);
}

/** An image that consists of this folder. */
export async function importImage(
  world: World,
  engine: DockerEngine,
  root: string,
  name: string,
  changes: readonly string[] = [],
): Promise<void> {
  const tar = `${root}.tar`;
  await world.runner.run([toolPath("tar"), "--owner=0", "--group=0", "-c", "-f", tar, "-C", root, "."]);
  const all = [`ENV ${PATH_IN_IMAGES}`, ...changes].flatMap((change) => ["--change", change]);
  await engine.docker("import", ...all, tar, name);
  await rm(tar);
}

/** What Node.js and the bundler's native part are linked with, and how names are resolved. */
async function addLibraries(root: string): Promise<void> {
  const native = path.join(CHECKOUT, "node_modules/@rolldown");
  const bindings = readdirSync(native).flatMap((name) => {
    return readdirSync(path.join(native, name))
      .filter((file) => file.endsWith(".node"))
      .map((file) => path.join(native, name, file));
  });
  const linked = execFileSync("ldd", [process.execPath, ...bindings], { encoding: "utf8" });
  const libraries = new Set([...linked.matchAll(/(\/lib\S+) \(/g)].map(([, file = ""]) => file));
  const beside = path.dirname([...libraries].find((file) => file.includes("libc.so")) ?? "/lib");
  for (const name of ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"]) {
    if (existsSync(path.join(beside, name))) libraries.add(path.join(beside, name));
  }
  for (const file of libraries) {
    await mkdir(path.join(root, path.dirname(file)), { recursive: true });
    await copyFile(file, path.join(root, file));
  }
}

async function addBuildTools(root: string): Promise<void> {
  for (const folder of ["bin", "usr/bin", "usr/local/bin", "usr/local/lib/node_modules", "root", "tmp"])
    await mkdir(path.join(root, folder), { recursive: true });
  await copyFile(toolPath("busybox"), path.join(root, "bin/busybox"));
  for (const name of APPLETS) await symlink("busybox", path.join(root, "bin", name));
  await symlink("../../bin/env", path.join(root, "usr/bin/env"));
  await copyFile(process.execPath, path.join(root, "usr/local/bin/node"));
  const npm = path.resolve(await realpath(npmProgram()), "../..");
  await cp(npm, path.join(root, "usr/local/lib/node_modules/npm"), { recursive: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", path.join(root, "usr/local/bin/npm"));
}

function npmProgram(): string {
  const npm = findProgram("npm");
  if (npm === undefined) throw new Error("npm is not installed");
  return npm;
}

/** How this machine's npm is set up, as a user behind a proxy would hand it over. */
function npmFlags(): string[] {
  // With the system's own Node.js, beside which npm looks for the machine's settings.
  const env = { ...process.env, PATH: SEARCH_PATH };
  const setting = (key: string): string => {
    return execFileSync(npmProgram(), ["config", "get", key], { encoding: "utf8", env }).trim();
  };
  const secrets = [
    ["npmrc", setting("userconfig")],
    ["ca", setting("cafile")],
  ] as const;
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].filter((name) => process.env[name] !== undefined);
  return [
    ...secrets.filter(([, file]) => existsSync(file)).flatMap(([id, src]) => ["--secret", `id=${id},src=${src}`]),
    ...proxies.flatMap((name) => ["--build-arg", `${name}=${process.env[name]}`]),
  ];
}
