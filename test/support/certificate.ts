import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
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
const DAY_MS = 24 * 60 * 60 * 1000;

export interface CertificateOptions {
  /** Days from now; yesterday and tomorrow by default. */
  readonly validDays?: readonly [from: number, to: number];
  /** P-256 by default. */
  readonly keys?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
}

/** A new certificate (X.509 v3) for host names and IPv4 addresses. */
export function selfSignedCertificate(
  names: readonly string[] = ["localhost", "127.0.0.1"],
  { validDays = [-1, 1], keys = generateKeyPairSync("ec", { namedCurve: "P-256" }) }: CertificateOptions = {},
): TestCertificate {
  const { publicKey, privateKey } = keys;
  const algorithm = sequence(
    privateKey.asymmetricKeyType === "rsa" ? objectId(SHA256_WITH_RSA) : objectId(ECDSA_WITH_SHA256),
  );
  const name = sequence(set(sequence(objectId(COMMON_NAME), der(0x0c, Buffer.from("registry-cache test")))));
  const validity = sequence(...validDays.map((days) => utcTime(Date.now() + days * DAY_MS)));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    algorithm,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(isAuthority(), altNames(names))),
  );
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", body, privateKey)]));
  const cert = sequence(body, algorithm, signature)
    .toString("base64")
    .replaceAll(/.{1,64}/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${cert}-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function isAuthority(): Buffer {
  return sequence(objectId(BASIC_CONSTRAINTS), der(0x04, sequence(der(0x01, Buffer.from([0xff])))));
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
