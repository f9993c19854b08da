import { X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { readBounded } from "./files.ts";

/** The bundle of all public authorities has a quarter of that. */
const CA_BYTES_MAX = 1024 * 1024;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * The PEM text of a file with certificates; each of them is read, for TLS would silently trust none of a broken file.
 *
 * @throws ValueError
 */
export async function readAuthorities(name: string, folder: string): Promise<string> {
  const bytes = await readBounded(resolve(folder, name), CA_BYTES_MAX);
  if (!Buffer.isBuffer(bytes))
    throw new ValueError(
      `${shown(name)} ${bytes.message}`,
      bytes.hint ?? "relative names count from this file's folder",
    );
  const certificates = pemCertificates(bytes.toString("latin1"));
  if (certificates.length === 0) {
    throw new ValueError(
      `${shown(name)} has no certificate in PEM form`,
      "such a file has lines -----BEGIN CERTIFICATE-----",
    );
  }
  for (const [index, certificate] of certificates.entries()) {
    if (readCertificate(certificate) === undefined) {
      throw new ValueError(`certificate ${index + 1} in ${shown(name)} is damaged`, "copy the file again");
    }
  }
  return `${certificates.join("\n")}\n`;
}

export function pemCertificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? [];
}

export function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}
