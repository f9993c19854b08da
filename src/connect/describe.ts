import { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { pemCertificates, readCertificate } from "../config/certificates.ts";
import type { Config } from "../config/config.ts";
import type { CacheView, ServedRegistry, Way } from "./view.ts";

export type DescribedConfig = Pick<Config, "acme" | "defaultRegistry" | "registries" | "tls" | "tlsCa" | "url">;

/** What clients see of a configured cache at `origin`, where `ways` let them in. */
export function describe(config: DescribedConfig, origin: string, ways: readonly Way[]): CacheView {
  const registries = config.registries.map(({ id, serves, hostnames, passThrough }): ServedRegistry => ({
    id,
    serves,
    // By which it was reached goes first.
    hostnames: hostnames.toSorted((a, b) => Number(isHostOf(origin, b)) - Number(isHostOf(origin, a))),
    passThrough,
  }));
  const byDefault = config.registries.find(({ id }) => id === config.defaultRegistry);
  const ofOne = registries.some((registry) => registry.hostnames.some((name) => isHostOf(origin, name)));
  const url = ofOne && config.url !== undefined ? config.url : origin;
  return {
    url,
    isForAll: !ofOne || config.url !== undefined,
    registries,
    defaultServes: byDefault?.serves ?? "",
    ways,
    ca: url.startsWith("https:") ? authorityOf(config) : undefined,
  };
}

function isHostOf(origin: string, name: string): boolean {
  const { host, hostname } = new URL(origin);
  return name.toLowerCase() === host || name.toLowerCase() === hostname;
}

/** The authority that clients have to be told of, PEM: where it was named, or can be found, and systems do not trust it anyway. */
export function authorityOf({ acme, tls, tlsCa }: DescribedConfig): string | undefined {
  if (tlsCa !== undefined) return certificatesIn(tlsCa);
  if (acme !== undefined) return acme.directoryCa === undefined ? undefined : certificatesIn(acme.directoryCa);
  const last = pemCertificates(tls?.cert ?? "").at(-1);
  if (last === undefined) return undefined;
  const certificate = readCertificate(last);
  // What signs itself is the end of the chain.
  if (certificate === undefined || !certificate.checkIssued(certificate)) return undefined;
  return isPublic(certificate) ? undefined : certificatesIn(last);
}

/** Nothing else that such a file may have, least of all a key. */
function certificatesIn(pem: string): string {
  return pemCertificates(pem)
    .map((one) => `${one.trim().replaceAll("\r", "")}\n`)
    .join("");
}

function isPublic(certificate: X509Certificate): boolean {
  return rootCertificates.some((pem) => new X509Certificate(pem).fingerprint256 === certificate.fingerprint256);
}
