import { createPrivateKey, type KeyObject } from "node:crypto";
import { resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { joined, readAuthorities, readCertificate, readCertificates, readPem } from "./certificates.ts";
import type { TlsConfig } from "./config.ts";
import { openToAllWarnings } from "./files.ts";
import type { Finding } from "./issues.ts";
import type { TlsInput } from "./schema.ts";

/** How clients are spoken to, and what is to be said about it. */
export interface ReadTls {
  /** Undefined for plain HTTP, and where something is wrong. */
  readonly tls: TlsConfig | undefined;
  readonly findings: readonly Finding[];
  /** What works but should not stay so. */
  readonly warnings: readonly string[];
}

const PLAIN: ReadTls = { tls: undefined, findings: [], warnings: [] };

/** Reads certificate and key, whose names are relative to `folder`. */
export async function readTls(input: TlsInput, folder: string, nowMs: number = Date.now()): Promise<ReadTls> {
  const { mode, cert, key } = input;
  if (mode === undefined && (cert !== undefined || key !== undefined)) {
    return problem("mode", "is missing: without it nobody is served by TLS", "write `mode: files`");
  }
  if (mode !== "files") return PLAIN;
  const findings: Finding[] = [];
  const chain = await attempt("cert", cert, (name) => readCertificates(name, folder), findings);
  const readKey = await attempt("key", key, (name) => readPrivateKey(name, folder), findings);
  if (cert === undefined || key === undefined || chain === undefined || readKey === undefined) {
    return { ...PLAIN, findings };
  }
  const mismatch = pairFinding({ cert, key }, chain, readKey);
  if (mismatch !== undefined) return { ...PLAIN, findings: [mismatch] };
  const warnings = [
    ...validityWarnings(cert, chain, nowMs),
    ...(await openToAllWarnings(resolve(folder, key), `the private key ${shown(key)}`)),
  ];
  const files = { cert: resolve(folder, cert), key: resolve(folder, key) };
  return { tls: { cert: joined(chain), key: readKey.pem, files }, findings, warnings };
}

/** The authority that clients are to be told of. With `mode: off`, TLS may be spoken by a proxy. */
export async function readTlsCa(input: TlsInput, folder: string): Promise<{ ca?: string; findings: Finding[] }> {
  if (input.ca === undefined) return { findings: [] };
  try {
    return { ca: await readAuthorities(input.ca, folder), findings: [] };
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    return { findings: [finding("ca", error.message, error.hint)] };
  }
}

function problem(key: "mode" | "cert" | "key", message: string, hint: string): ReadTls {
  return { ...PLAIN, findings: [finding(key, message, hint)] };
}

function finding(key: "mode" | "cert" | "key" | "ca", message: string, hint: string | undefined): Finding {
  return { path: ["tls", key], message, hint };
}

async function attempt<T>(
  key: "cert" | "key",
  name: string | undefined,
  read: (name: string) => Promise<T>,
  findings: Finding[],
): Promise<T | undefined> {
  if (name === undefined) {
    findings.push(finding(key, "is missing", `write \`${key}: ./tls-${key}.pem\`, or \`mode: off\``));
    return undefined;
  }
  try {
    return await read(name);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    findings.push(finding(key, error.message, error.hint));
    return undefined;
  }
}

interface PrivateKey {
  readonly pem: string;
  readonly key: KeyObject;
}

const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^-]*-----END (?:[A-Z]+ )?PRIVATE KEY-----/;
/** PKCS #8's form, and the one that OpenSSL had before. */
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

/** The key among whatever else the file has: some keep both in one, others have the curve's name before it. */
async function readPrivateKey(name: string, folder: string): Promise<PrivateKey> {
  const text = await readPem(name, folder);
  if (ENCRYPTED_KEY.test(text)) {
    const hint = "decrypt it into a file that this process's user alone may read: openssl pkey -in KEY -out FILE";
    throw new ValueError(`${shown(name)} is encrypted, which is not supported`, hint);
  }
  const pem = PRIVATE_KEY.exec(text)?.[0];
  if (pem === undefined) {
    const isCertificate = text.includes("-----BEGIN CERTIFICATE-----");
    const hint = isCertificate ? "that is a certificate" : "such a file has a line -----BEGIN PRIVATE KEY-----";
    throw new ValueError(`${shown(name)} has no private key in PEM form`, hint);
  }
  try {
    return { pem: `${pem}\n`, key: createPrivateKey(pem) };
  } catch {
    throw new ValueError(`the private key in ${shown(name)} is damaged, or of an unknown kind`, "copy the file again");
  }
}

/** What is wrong with the two together. The first certificate is the server's own; authorities follow it. */
function pairFinding(
  { cert, key }: { readonly cert: string; readonly key: string },
  chain: readonly string[],
  privateKey: PrivateKey,
): Finding | undefined {
  const fits = chain.map((pem) => readCertificate(pem)?.checkPrivateKey(privateKey.key) === true);
  if (fits[0] === true) return contextFinding(chain, privateKey);
  if (fits.includes(true)) {
    const hint = "the server's own certificate comes first, then the one that signed it";
    return finding("cert", `in ${shown(cert)} the certificates are in the wrong order`, hint);
  }
  const hint = "take the two files that were made together";
  return finding("key", `${shown(key)} does not belong to the certificate in ${shown(cert)}`, hint);
}

/** TLS has demands of its own, such as the length of RSA keys. */
function contextFinding(chain: readonly string[], { pem }: PrivateKey): Finding | undefined {
  try {
    createSecureContext({ cert: joined(chain), key: pem });
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown reason";
    return finding("cert", `TLS refuses it (${code})`, "RSA keys need 2048 bits, signatures SHA-256");
  }
}

/** Clients refuse such a certificate, but who is to mend it needs the cache to start. */
function validityWarnings(name: string, chain: readonly string[], nowMs: number): string[] {
  return chain.flatMap((pem, index) => {
    const read = readCertificate(pem);
    if (read === undefined) return [];
    const which = `certificate ${index + 1} in ${shown(name)}`;
    if (read.validToDate.getTime() < nowMs) return [`${which} expired on ${day(read.validToDate)}: clients refuse it`];
    if (read.validFromDate.getTime() > nowMs) {
      return [`${which} is valid from ${day(read.validFromDate)} on: until then clients refuse it`];
    }
    return [];
  });
}

/** A date without its time, as a person writes it. */
export function day(date: Date): string {
  return date.toISOString().slice(0, "2000-01-01".length);
}
