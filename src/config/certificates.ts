import { X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { pemBlocks } from "../lib/pem.ts";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { readBounded } from "./files.ts";

/** The bundle of all public authorities has a quarter of that. */
const PEM_BYTES_MAX = 1024 * 1024;

/**
 * The PEM text of a file with certificates; each of them is read, for TLS would silently trust none of a broken file.
 *
 * @throws ValueError
 */
export async function readAuthorities(name: string, folder: string): Promise<string> {
  return joined(await readCertificates(name, folder));
}

/**
 * The certificates of a PEM file, one text each; there is at least one, and all of them can be read.
 *
 * @throws ValueError
 */
export async function readCertificates(name: string, folder: string): Promise<string[]> {
  const text = await readPem(name, folder);
  const certificates = pemCertificates(text);
  if (certificates.length === 0) {
    throw new ValueError(`${shown(name)} has no certificate in PEM form`, missingCertificateHint(text));
  }
  for (const [index, certificate] of certificates.entries()) {
    if (readCertificate(certificate) === undefined) {
      throw new ValueError(`certificate ${index + 1} in ${shown(name)} is damaged`, "copy the file again");
    }
  }
  return certificates;
}

/** The label that RFC 7468 gives a revocation list. */
const REVOCATIONS = "X509 CRL";

/**
 * The PEM text of a file with revocation lists, which TLS can use.
 *
 * @throws ValueError
 */
export async function readRevocations(name: string, folder: string): Promise<string> {
  const lists = pemBlocks(await readPem(name, folder), REVOCATIONS);
  if (lists.length === 0) {
    const hint = "such a file has lines -----BEGIN X509 CRL-----; `openssl crl -inform der -in FILE` writes them";
    throw new ValueError(`${shown(name)} has no revocation list in PEM form`, hint);
  }
  try {
    createSecureContext({ crl: lists });
  } catch {
    throw new ValueError(`a revocation list in ${shown(name)} is damaged`, "copy the file again");
  }
  return joined(lists);
}

/** When the first of these revocation lists (PEM) runs out; undefined where none of them ever does. */
export async function revocationsEnd(crl: string): Promise<Date | undefined> {
  // Node.js reads certificates, but no such lists.
  const { X509Crl } = await import("@peculiar/x509");
  const ends = pemBlocks(crl, REVOCATIONS).flatMap((list) => new X509Crl(list).nextUpdate ?? []);
  return ends.toSorted((a, b) => a.getTime() - b.getTime())[0];
}

/**
 * Which of these authorities (PEM) have none among these revocation lists (PEM), by their subjects; OpenSSL then refuses every
 * certificate that they have signed, be it another authority's. Names are compared as OpenSSL does.
 */
export async function withoutRevocations(ca: string, crl: string): Promise<string[]> {
  const { X509Certificate: Parsed, X509Crl } = await import("@peculiar/x509");
  const comparable = (name: string) => name.toLowerCase().replaceAll(/\s+/g, " ");
  const issuers = new Set(pemBlocks(crl, REVOCATIONS).map((list) => comparable(new X509Crl(list).issuer)));
  const subjects = pemCertificates(ca)
    .filter((pem) => readCertificate(pem)?.ca === true)
    .map((pem) => new Parsed(pem).subject);
  return [...new Set(subjects)].filter((subject) => !issuers.has(comparable(subject)));
}

/**
 * A PEM file's text, whatever is in it.
 *
 * @throws ValueError
 */
export async function readPem(name: string, folder: string): Promise<string> {
  const bytes = await readBounded(resolve(folder, name), PEM_BYTES_MAX);
  if (Buffer.isBuffer(bytes)) return bytes.toString("latin1");
  throw new ValueError(`${shown(name)} ${bytes.message}`, bytes.hint ?? "relative names count from this file's folder");
}

function missingCertificateHint(text: string): string {
  if (text.includes("PRIVATE KEY-----")) return "that is a private key";
  // What ASN.1 begins a certificate with.
  if (text.startsWith("\x30\x82")) return "that may be DER: `openssl x509 -inform der -in FILE` writes it as PEM";
  return "such a file has lines -----BEGIN CERTIFICATE-----";
}

/** Certificates as one PEM text. */
export function joined(certificates: readonly string[]): string {
  return `${certificates.join("\n")}\n`;
}

export function pemCertificates(text: string): string[] {
  return pemBlocks(text, "CERTIFICATE");
}

export function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** Whose certificate it is, on one line. Newer ones often name nobody but host names. */
export function subjectText({ subject, subjectAltName }: X509Certificate): string {
  // Without a subject there is none, whatever the types say.
  const named = (subject as string | undefined)?.replaceAll("\n", ", ") ?? "";
  return named === "" ? (subjectAltName ?? "nobody") : named;
}
