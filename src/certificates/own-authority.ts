import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Certificate } from "../config/config.ts";

/** P-256 with SHA-256: what Go, OpenSSL, Docker, Podman and browsers all take, in TLS 1.2 and 1.3. */
const KEYS = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

const DAY_MS = 24 * 60 * 60_000;
const AUTHORITY_DAYS = 10 * 365;
/** The longest that every client still takes. */
const LEAF_DAYS = 825;
/** A client whose clock is behind takes a new certificate as well. */
const BACKDATED_MS = 60 * 60_000;
/** RFC 5280, appendix A.1. */
const COMMON_NAME_LENGTH_MAX = 64;

export type LeafUse = "server" | "client";

export interface LeafRequest {
  readonly use: LeafUse;
  /** Who it is for: of a server all its names and addresses, of a client the one name. */
  readonly names: readonly string[];
  /** PEM of a key that is used further; by default a new one is made. */
  readonly key?: string | undefined;
}

/** What is wrong with an authority's own files. */
export class AuthorityError extends Error {
  override readonly name = "AuthorityError";
}

/**
 * A new authority, PEM texts. Each has a name of its own: a certificate of another one would otherwise look as if it were of this
 * one, with a wrong signature.
 */
export async function makeAuthority(nowMs: number = Date.now()): Promise<Certificate> {
  const x509 = await import("@peculiar/x509");
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [`Registry Cache authority ${randomBytes(4).toString("hex")}`] }],
      keys,
      signingAlgorithm: KEYS,
      ...validity(nowMs, AUTHORITY_DAYS),
      extensions: [
        // It signs servers and clients, and no further authorities.
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  return { cert: text(certificate.toString("pem")), key: await keyText(keys.privateKey) };
}

/**
 * A certificate that the authority signs, PEM texts.
 *
 * @throws AuthorityError where the authority cannot sign
 */
export async function issue(
  authority: Certificate,
  { use, names, key }: LeafRequest,
  nowMs: number = Date.now(),
): Promise<Certificate> {
  const x509 = await import("@peculiar/x509");
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await signingKeyOf(authority, nowMs);
  const keys = key === undefined ? await newKeys() : await keysOf(key);
  const { KeyUsageFlags, ExtendedKeyUsage } = x509;
  const [first = ""] = names;
  // A name that is too long for it stands among the alternative ones, which is where clients look.
  const commonName = first.length <= COMMON_NAME_LENGTH_MAX ? [{ CN: [first] }] : [];
  const lasts = validity(nowMs, LEAF_DAYS);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: commonName,
      issuer: issuer.subject,
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: KEYS,
      notBefore: lasts.notBefore < issuer.notBefore ? issuer.notBefore : lasts.notBefore,
      notAfter: lasts.notAfter > issuer.notAfter ? issuer.notAfter : lasts.notAfter,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        // A server's certificate lets nobody in as a client.
        new x509.ExtendedKeyUsageExtension([
          use === "server" ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension(
          names.map((name) => ({ type: isIP(name) === 0 ? ("dns" as const) : ("ip" as const), value: name })),
          commonName.length === 0,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ],
    },
    webcrypto,
  );
  return { cert: text(certificate.toString("pem")), key: key ?? (await keyText(keys.privateKey)) };
}

/** The names and addresses that a server's certificate (PEM) is for. */
export async function namesOf(cert: string): Promise<string[]> {
  const x509 = await import("@peculiar/x509");
  const extension = new x509.X509Certificate(cert).getExtension(x509.SubjectAlternativeNameExtension);
  return (extension?.names.items ?? []).filter(({ type }) => type === "dns" || type === "ip").map(({ value }) => value);
}

const SOON_MS = 30 * DAY_MS;

/** Whether it is not about to expire. */
export function isLastingFrom(cert: string, nowMs: number): boolean {
  return new X509Certificate(cert).validToDate.getTime() - nowMs > SOON_MS;
}

/** Whether it was signed by the authority; PEM texts. */
export function isIssuedBy(cert: string, authority: string): boolean {
  const [own, issuer] = [new X509Certificate(cert), new X509Certificate(authority)];
  return own.checkIssued(issuer) && own.verify(issuer.publicKey);
}

function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  const fromMs = nowMs - BACKDATED_MS;
  // Both ends belong to it (RFC 5280, section 4.1.2.5).
  return { notBefore: new Date(fromMs), notAfter: new Date(fromMs + days * DAY_MS - 1000) };
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(KEYS, true, ["sign", "verify"]);
}

async function signingKeyOf({ cert, key }: Certificate, nowMs: number): Promise<webcrypto.CryptoKey> {
  const own = new X509Certificate(cert);
  if (!own.checkPrivateKey(createPrivateKey(key)))
    throw new AuthorityError("its key does not belong to its certificate");
  if (!own.ca) throw new AuthorityError("its certificate is not that of an authority");
  if (own.validToDate.getTime() <= nowMs) throw new AuthorityError(`it expired on ${own.validToDate.toISOString()}`);
  return (await keysOf(key)).privateKey;
}

async function keysOf(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const key = createPrivateKey(pem);
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  if (asymmetricKeyType !== "ec" || asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new AuthorityError("its key is not one that `registry-cache certificate` made");
  }
  const { x, y, d } = key.export({ format: "jwk" });
  const common = { kty: "EC", crv: "P-256", ...(x === undefined ? {} : { x }), ...(y === undefined ? {} : { y }) };
  const [privateKey, publicKey] = await Promise.all([
    webcrypto.subtle.importKey("jwk", { ...common, ...(d === undefined ? {} : { d }) }, KEYS, true, ["sign"]),
    webcrypto.subtle.importKey("jwk", common, KEYS, true, ["verify"]),
  ]);
  return { privateKey, publicKey };
}

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: bytes, format: "der", type: "pkcs8" })
    .export({ format: "pem", type: "pkcs8" })
    .toString();
}

function text(pem: string): string {
  return `${pem.trim()}\n`;
}
