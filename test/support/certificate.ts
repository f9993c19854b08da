import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { isIPv4 } from "node:net";

export interface TestCertificate {
  /** PEM. It signed itself, so it is its own authority. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const SHA256_WITH_RSA = "1.2.840.113549.1.1.11";
const COMMON_NAME = "2.5.4.3";
const SUBJECT_ALT_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const SUBJECT_KEY_ID = "2.5.29.14";
const KEY_USAGE = "2.5.29.15";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const DAY_MS = 24 * 60 * 60 * 1000;
/** Yesterday and tomorrow. */
const A_DAY = [-1, 1] as const;

/** For a cache whose certificate never changes. */
export const NO_FILES = { cert: "/nonexistent/cert.pem", key: "/nonexistent/key.pem" };

export interface CertificateOptions {
  /** Days from now; yesterday and tomorrow by default. */
  readonly validDays?: readonly [from: number, to: number];
  /** P-256 by default. */
  readonly keys?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
}

/** A new certificate (X.509 v3) for host names and IPv4 addresses. */
export function selfSignedCertificate(
  names: readonly string[] = ["localhost", "127.0.0.1"],
  { validDays = A_DAY, keys = newKeys() }: CertificateOptions = {},
): TestCertificate {
  const subject = "registry-cache test";
  const { publicKey, privateKey } = keys;
  const extensions = [isAuthority(), altNames(names)];
  const cert = certificate({
    subject,
    publicKey,
    issuer: subject,
    issuerKey: privateKey,
    serial: 1,
    validDays,
    extensions,
  });
  return { cert, key: keyText(privateKey) };
}

export interface IssueOptions {
  readonly validDays?: readonly [from: number, to: number];
  /** A server's certificate is of no use to a client. An authority's signs others. */
  readonly use?: "client" | "server" | "authority";
}

const USES: Readonly<Record<NonNullable<IssueOptions["use"]>, (key: KeyObject) => Buffer[]>> = {
  client: () => [isFor(CLIENT_AUTH)],
  server: () => [isFor(SERVER_AUTH)],
  authority: (key) => [isAuthority(), signsAll(), keyId(key)],
};

/** An authority that signs clients' certificates, and revokes them. */
export interface TestAuthority extends TestCertificate {
  issue(commonName: string, names?: readonly string[], options?: IssueOptions): TestCertificate & { serial: number };
  /** PEM of its list of revoked certificates. */
  revocations(serials: readonly number[]): string;
}

export function testAuthority(
  subject = "registry-cache test authority",
  { publicKey, privateKey }: NonNullable<CertificateOptions["keys"]> = newKeys(),
): TestAuthority {
  const own = { subject, publicKey, issuer: subject, issuerKey: privateKey, serial: 1 };
  let serial = 1;
  return {
    cert: certificate({ ...own, validDays: A_DAY, extensions: [isAuthority()] }),
    key: keyText(privateKey),
    issue: (commonName, names = [], { validDays = A_DAY, use = "client" } = {}) => {
      const keys = newKeys();
      serial += 1;
      const extensions = [...USES[use](keys.publicKey), ...(names.length > 0 ? [altNames(names)] : [])];
      const its = { subject: commonName, publicKey: keys.publicKey, issuer: subject, issuerKey: privateKey, serial };
      return { cert: certificate({ ...its, validDays, extensions }), key: keyText(keys.privateKey), serial };
    },
    revocations: (serials) => revocationList(subject, privateKey, serials),
  };
}

function newKeys() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function keyText(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

interface CertificateParts {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuer: string;
  readonly issuerKey: KeyObject;
  readonly serial: number;
  readonly validDays: readonly [from: number, to: number];
  readonly extensions: readonly Uint8Array[];
}

function certificate(parts: CertificateParts): string {
  const { subject, publicKey, issuer, issuerKey, serial, validDays, extensions } = parts;
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    integer(serial),
    algorithmOf(issuerKey),
    nameOf(issuer),
    sequence(...validDays.map((days) => utcTime(Date.now() + days * DAY_MS))),
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  return pem("CERTIFICATE", signed(body, issuerKey));
}

/** RFC 5280, section 5. */
function revocationList(issuer: string, issuerKey: KeyObject, serials: readonly number[]): string {
  const revoked = serials.map((serial) => sequence(integer(serial), utcTime(Date.now() - DAY_MS)));
  const body = sequence(
    der(0x02, Buffer.from([1])),
    algorithmOf(issuerKey),
    nameOf(issuer),
    utcTime(Date.now() - DAY_MS),
    utcTime(Date.now() + DAY_MS),
    ...(revoked.length > 0 ? [sequence(...revoked)] : []),
  );
  return pem("X509 CRL", signed(body, issuerKey));
}

function signed(body: Buffer, key: KeyObject): Buffer {
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", body, key)]));
  return sequence(body, algorithmOf(key), signature);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").replaceAll(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

function algorithmOf({ asymmetricKeyType }: KeyObject): Buffer {
  return sequence(asymmetricKeyType === "rsa" ? objectId(SHA256_WITH_RSA) : objectId(ECDSA_WITH_SHA256));
}

function nameOf(commonName: string): Buffer {
  return sequence(set(sequence(objectId(COMMON_NAME), der(0x0c, Buffer.from(commonName)))));
}

/** Below 128, in one byte. */
function integer(value: number): Buffer {
  return der(0x02, Buffer.from([value]));
}

function isFor(use: string): Buffer {
  return sequence(objectId(EXTENDED_KEY_USAGE), der(0x04, sequence(objectId(use))));
}

function isAuthority(): Buffer {
  return sequence(objectId(BASIC_CONSTRAINTS), der(0x04, sequence(der(0x01, Buffer.from([0xff])))));
}

/** Certificates and revocation lists. */
function signsAll(): Buffer {
  return sequence(objectId(KEY_USAGE), der(0x04, der(0x03, Buffer.from([1, 0x06]))));
}

function keyId(key: KeyObject): Buffer {
  const hash = createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
  return sequence(objectId(SUBJECT_KEY_ID), der(0x04, der(0x04, hash.subarray(0, 20))));
}

function altNames(names: readonly string[]): Buffer {
  const entries = names.map((name) =>
    isIPv4(name) ? der(0x87, Buffer.from(name.split(".").map(Number))) : der(0x82, Buffer.from(name)),
  );
  return sequence(objectId(SUBJECT_ALT_NAME), der(0x04, sequence(...entries)));
}

/** One DER element (X.690): tag, length, content. */
function der(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function set(...parts: readonly Uint8Array[]): Buffer {
  return der(0x31, Buffer.concat(parts));
}

/** The first two numbers share a byte; the others are written in base 128, most significant first. */
function objectId(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let left = value >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
  return digits;
}

/** `YYMMDDHHMMSSZ`. */
function utcTime(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return der(0x17, Buffer.from(digits.slice(2)));
}
