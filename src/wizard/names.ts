import { isIP } from "node:net";
import { isLoopback } from "../lib/loopback.ts";
import { readListen } from "../config/values.ts";
import { ValueError } from "../lib/value-error.ts";
import type { Answers } from "./answers.ts";
import type { Check } from "./asker.ts";

const PORT_OF = { http: 80, https: 443 } as const;

/** By which clients reach the cache: `https://cache.example.com:5000`. */
export function urlFor(host: string, { listen, tls }: Pick<Answers, "listen" | "tls">): string {
  const scheme = tls.kind === "off" ? "http" : "https";
  const port = readListen(listen[0]).port;
  return port === PORT_OF[scheme] ? `${scheme}://${host}` : `${scheme}://${host}:${port}`;
}

/** The host in it, where it is one that the questions made and not that of a proxy in front. */
export function hostOfUrl({ url, ...answers }: Pick<Answers, "url" | "listen" | "tls">): string | undefined {
  if (url === undefined) return undefined;
  const { hostname } = new URL(url);
  return urlFor(hostname, answers) === url ? hostname : undefined;
}

/** Whether other machines reach it. */
export function isBeyondLoopback(listen: readonly string[]): boolean {
  return listen.some((address) => !isLoopback(readListen(address).host));
}

/** Whether others reach it from now on who did not before. */
export function isOpened({ before, isNew }: { before: Answers; isNew: boolean }, listen: readonly string[]): boolean {
  return isBeyondLoopback(listen) && (isNew || !isBeyondLoopback(before.listen));
}

const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** Whom a certificate of the cache must be for: its names, and the addresses that it is reached by on this machine. */
export function serverNames({ registries, url, listen }: Pick<Answers, "registries" | "url" | "listen">): string[] {
  const hosts = listen.map((address) => readListen(address).host).filter((host) => !WILDCARDS.has(host));
  const ofUrl = url === undefined ? [] : [new URL(url).hostname.replace(/^\[(.*)\]$/, "$1")];
  const hostnames = registries.filter(({ isOn }) => isOn).flatMap((registry) => registry.hostnames);
  return [...new Set([...ofUrl, ...hostnames, ...hosts.filter((host) => isIP(host) !== 0), "localhost", "127.0.0.1"])];
}

/** Names that an authority by ACME can be asked for: not addresses. */
export function acmeNames(names: readonly string[]): string[] {
  return names.filter((name) => isIP(name) === 0 && name !== "localhost");
}

/** A check by a reader of the configuration's values. */
export function checkBy(read: (text: string) => unknown): Check {
  return (text) => {
    try {
      read(text);
      return undefined;
    } catch (error) {
      if (error instanceof ValueError)
        return error.hint === undefined ? error.message : `${error.message}: ${error.hint}`;
      throw error;
    }
  };
}

/** What is separated by commas and spaces. */
export function listOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((one) => one !== ""))];
}
