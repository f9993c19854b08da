import { readFileSync } from "node:fs";
import { assignments, type KnownSecrets } from "../connect/script.ts";
import { quoted } from "../connect/sh-word.ts";
import { type CacheView, hostOf, isLoopback, ownUrl } from "../connect/view.ts";
import { packageVersion } from "../lib/version.ts";

/**
 * The POSIX sh script that finds out whether a host pulls through a cache. Nothing runs before its last line. No secret is in it
 * but those that are given here.
 */
export function doctorScript(view: CacheView, secrets: KnownSecrets = {}): string {
  return [
    "#!/bin/sh",
    `# Does this host pull through the cache ${view.url}? Written by registry-cache ${packageVersion()}; sh FILE --help says what it can do.`,
    "set -eu",
    "",
    `cache_url=${quoted(view.url)}`,
    "# The addresses that mean it, in settings of clients.",
    `cache_hosts=${quoted(hostsOf(view).join(" "))}`,
    `cache_serves=${quoted(view.registries.map(({ serves }) => serves).join(" "))}`,
    "# How clients come in.",
    `cache_ways=${quoted(view.ways.join(" "))}`,
    "# The authority that clients have to be told of.",
    `cache_ca=${quoted((view.ca ?? "").trim())}`,
    ...assignments(secrets),
    "",
    part("doctor"),
    part("doctor-clients"),
    // In braces, so that of a last line that was cut off nothing runs.
    '{ main "$@"; }',
    "",
  ].join("\n");
}

/** Beside this file, as a source and in the bundle. */
function part(name: string): string {
  return readFileSync(new URL(`sh/${name}.sh`, import.meta.url), "utf8");
}

function hostsOf(view: CacheView): string[] {
  const own = view.registries.flatMap((registry) => ownUrl(view, registry) ?? []).map((url) => new URL(url).host);
  const { port } = new URL(view.url);
  const local = isLoopback(view) ? ["localhost", "127.0.0.1", "[::1]"] : [];
  return [...new Set([hostOf(view), ...own, ...local.map((host) => (port === "" ? host : `${host}:${port}`))])];
}
