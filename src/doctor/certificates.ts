import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { getCACertificates } from "node:tls";
import { renewalDelayMs } from "../certificates/renewal.ts";
import { pemCertificates, readCertificate, revocationsEnd, subjectText } from "../config/certificates.ts";
import { humanDuration } from "../lib/human.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** One that lives shorter than three times that is warned of in the last third of its life. */
const WARN_DAYS = 14;

/** For how long a certificate is good. */
export function judgeValidity(cert: X509Certificate, what: string, nowMs: number, fix: string): Finding {
  const [fromMs, toMs] = [cert.validFromDate.getTime(), cert.validToDate.getTime()];
  if (nowMs < fromMs) {
    const inMs = fromMs - nowMs;
    return problem(`${what} is not valid before ${day(fromMs)}, in ${days(inMs)}`, "set this machine's clock, or wait");
  }
  if (nowMs >= toMs) return problem(`${what} has expired on ${day(toMs)}`, fix);
  const leftMs = toMs - nowMs;
  if (leftMs < Math.min(WARN_DAYS * DAY_MS, (toMs - fromMs) / 3)) {
    return warning(`${what} expires on ${day(toMs)}, in ${days(leftMs)}`, fix);
  }
  return ok(`${what} is valid until ${day(toMs)}, for ${days(leftMs)}`);
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function days(ms: number): string {
  const count = Math.floor(ms / DAY_MS);
  if (count < 2) return humanDuration(ms);
  return `${count} days`;
}

/** Whether everybody can follow the chain (PEM) from the server's own certificate to an authority. `known`: PEM of those at its end. */
export function judgeChain(chain: readonly string[], known: readonly string[]): readonly Finding[] {
  const certificates = chain.flatMap((pem) => readCertificate(pem) ?? []);
  for (const [index, certificate] of certificates.entries()) {
    const next = certificates[index + 1];
    if (next !== undefined && !certificate.checkIssued(next)) {
      return [
        problem(
          `certificate ${index + 2} in its file has not signed the one before it`,
          "put them in order: the server's own, the intermediate ones, the root last or not at all",
        ),
      ];
    }
  }
  const last = certificates.at(-1);
  if (last === undefined || last.checkIssued(last)) return [];
  if (known.some((pem) => isIssuedBy(last, pem))) return [ok("its chain is whole")];
  return [
    problem(
      `its chain ends with ${subjectText(last)}, whose authority is neither in the file nor known to this system`,
      "append the intermediate certificates to the file, and name a private root as `tls.ca`",
    ),
  ];
}

function isIssuedBy(certificate: X509Certificate, pem: string): boolean {
  const authority = readCertificate(pem);
  return authority !== undefined && certificate.checkIssued(authority);
}

/** PEM of what ends a chain for most clients. */
export function knownAuthorities(own: string | undefined): string[] {
  const own_ = pemCertificates(own ?? "");
  return [...own_, ...getCACertificates("bundled"), ...getCACertificates("system")];
}

/** Which of the names by which clients come it is for. */
export function judgeNames(cert: X509Certificate, names: readonly string[]): readonly Finding[] {
  if (names.length === 0) return [];
  const missing = names.filter((name) => !covers(cert, name));
  if (missing.length === 0)
    return [ok(`it is for ${names.length === 1 ? names[0] : `all ${names.length} names`} that clients use`)];
  return [
    problem(
      `it is not for ${missing.join(", ")}; it is for ${namesOf(cert)}`,
      "have one with these names as well (subject alternative names), or take them out of `url` and `hostnames`",
    ),
  ];
}

function covers(cert: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? cert.checkHost(name) : cert.checkIP(name)) !== undefined;
}

function namesOf(cert: X509Certificate): string {
  const names = (cert.subjectAltName ?? "").split(", ").map((name) => name.replace(/^(?:DNS|IP Address):/, ""));
  return names.join(", ") || "no name at all";
}

/** Certificates of clients: by whom they are judged, and until when. */
export async function judgeClientAuthorities(
  ca: string,
  crl: string | undefined,
  nowMs: number,
): Promise<readonly Finding[]> {
  const found = pemCertificates(ca).flatMap((pem) => {
    const authority = readCertificate(pem);
    if (authority === undefined) return [];
    const what = `the authority of clients (${subjectText(authority)})`;
    return judgeValidity(
      authority,
      what,
      nowMs,
      "make a new one, and certificates of clients by it, before; both may stand in `access.mtls.ca`",
    );
  });
  const endMs = crl === undefined ? undefined : (await revocationsEnd(crl))?.getTime();
  return endMs === undefined ? found : [...found, judgeRevocations(endMs, nowMs)];
}

export function judgeRevocations(endMs: number, nowMs: number): Finding {
  const fix = "write the list anew: openssl ca -gencrl (docs/security.md)";
  if (nowMs >= endMs) {
    return problem(
      `the list of revoked certificates has run out on ${day(endMs)}: no client certificate is accepted`,
      fix,
    );
  }
  const text = `the list of revoked certificates is good for ${days(endMs - nowMs)}`;
  return endMs - nowMs < 2 * DAY_MS ? warning(text, fix) : ok(text);
}

/** How long after the time for it a renewal may be under way. */
const RENEWAL_LATE_MS = DAY_MS;

/** One from an ACME authority is renewed when two thirds of its life are over; later, the attempts have failed. */
export function judgeRenewal(cert: string, nowMs: number): readonly Finding[] {
  const { validFromDate, validToDate } = new X509Certificate(cert);
  const lifeMs = validToDate.getTime() - validFromDate.getTime();
  const lateMs = Math.min(RENEWAL_LATE_MS, lifeMs / 10);
  if (renewalDelayMs(cert, nowMs - lateMs) > 0) return [];
  return [
    warning(
      "it should have been renewed by now: the last attempts have failed",
      'look for "no certificate" in the log of the cache, which says why and when it tries again',
    ),
  ];
}

/** Whether what is shown to clients is what lies in the file. */
export function judgeShown(shown: readonly string[], cert: X509Certificate): readonly Finding[] {
  if (shown.length === 0 || shown.includes(cert.fingerprint256)) return [];
  return [
    warning(
      "the running cache shows another certificate than this one",
      "it follows the file within seconds, unless it cannot read it: look at its log; or restart it",
    ),
  ];
}
