import { spawnSync } from "node:child_process";

import { findProgram, PROGRAM_FOLDERS } from "../../support/programs.ts";

/** Where each program comes from, for people whose machine lacks it (Debian's package names). */
const PACKAGES = {
  buildah: "buildah",
  busybox: "busybox-static",
  caddy: "caddy",
  containerd: "containerd",
  ctr: "containerd",
  docker: "docker.io",
  curl: "curl",
  "docker-registry": "docker-registry",
  dockerd: "docker.io",
  nginx: "nginx-light",
  pebble: "pebble",
  "pebble-challtestsrv": "pebble",
  podman: "podman",
  runc: "runc",
  setpriv: "util-linux",
  skopeo: "skopeo",
  tar: "tar",
  unshare: "util-linux",
} as const;

export type Tool = keyof typeof PACKAGES;

/** What the upstream and its images need, whichever client pulls. */
const ALWAYS: readonly Tool[] = ["docker-registry", "buildah", "busybox", "setpriv", "unshare"];

/** PATH for the programs themselves. */
export const SEARCH_PATH = PROGRAM_FOLDERS.join(":");

/** The full path of a program, undefined where it is not installed. */
export function find(tool: Tool): string | undefined {
  return findProgram(tool);
}

/** The full path of a program that is known to be installed. */
export function toolPath(tool: Tool): string {
  const file = find(tool);
  if (file === undefined) throw new Error(`${tool} is not installed (Debian package ${PACKAGES[tool]})`);
  return file;
}

/**
 * Why tests with these programs cannot run here, for node:test's `skip`; false where they can. With REQUIRE_E2E=1 an
 * obstacle is an error instead, so that a machine that must run them does not pass by skipping.
 */
export function skipReason(tools: readonly Tool[]): string | false {
  const reason = obstacle([...ALWAYS, ...tools]);
  if (reason !== undefined && process.env["REQUIRE_E2E"] === "1") throw new Error(reason);
  return reason ?? false;
}

function obstacle(tools: readonly Tool[]): string | undefined {
  if (process.platform !== "linux") return "real clients run on Linux only";
  const missing = tools.filter((tool) => find(tool) === undefined);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((tool) => PACKAGES[tool]))].join(" ");
    return `not installed: ${missing.join(", ")} (apt-get install ${packages})`;
  }
  if (process.getuid?.() !== 0) return "real clients need root";
  if (spawnSync(toolPath("unshare"), ["--mount", "true"]).status !== 0) return "mount namespaces are not allowed here";
  return undefined;
}
