import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** Looked at once a connection. */
const KNOWN = Symbol("names of the client's certificate");
const FAULT = Symbol("what is wrong with the client's certificate");

interface Looked extends TLSSocket {
  [KNOWN]?: readonly string[];
  [FAULT]?: { readonly fault: string | undefined };
}

/**
 * The names of the client's certificate, its common name first; none where it has no valid one. Valid means that an authority of
 * `access.mtls` has signed it, that it has not expired, and that it is for clients.
 */
export function certificateNames(socket: Socket): readonly string[] {
  if (!(socket instanceof TLSSocket)) return [];
  const looked: Looked = socket;
  return (looked[KNOWN] ??= namesOf(socket));
}

/** Why the client's certificate is not accepted (`CERT_REVOKED`, `CRL_HAS_EXPIRED`, ...); undefined where it is, or there is none. */
export function certificateFault(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const looked: Looked = socket;
  return (looked[FAULT] ??= { fault: faultOf(socket) }).fault;
}

/**
 * Call when TLS is agreed on, before anything is read. A signature that is wrong, as that of an earlier authority with the name of the
 * present one, is left in OpenSSL's queue of errors: its server, other than its client, does not clear that after it has looked at a
 * certificate (tls_process_client_certificate), and Node takes what is there for an error of the next read (TLSWrap::ClearOut). To look
 * at the certificate clears it (X509Certificate::GetPeerCert).
 */
export function forgetFailedCheck(socket: TLSSocket): void {
  certificateFault(socket);
}

/**
 * The names of the client's certificate where a handshake has failed by that queue: the certificate came in a piece of its own, so that
 * Node looked there before it was cleared. Undefined where it failed by something else, which TLS itself says.
 */
export function misjudgedNames(error: Error & { library?: string }, socket: TLSSocket): string[] | undefined {
  if (error.library === undefined || error.library === "SSL routines") return undefined;
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : namesIn(certificate);
}

function faultOf(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  // A code, whatever the types say.
  const reason = socket.authorizationError as unknown;
  if (socket.getPeerX509Certificate() === undefined) return undefined;
  return typeof reason === "string" ? reason : "unknown reason";
}

function namesOf(socket: TLSSocket): string[] {
  // A resumed session without a certificate counts as authorized too (Node's VerifyPeerCertificate).
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  return certificate === undefined ? [] : namesIn(certificate);
}

function namesIn(certificate: X509Certificate): string[] {
  const { CN } = certificate.toLegacyObject().subject;
  const common: unknown[] = Array.isArray(CN) ? CN : [CN];
  const names = common.filter((name): name is string => typeof name === "string");
  return [...new Set([...names, ...alternativeNames(certificate.subjectAltName)])].filter(isPlain);
}

/** `DNS:ci-1.example.com, email:ops@example.com, URI:spiffe://example.com/ci`; Node puts unusual values in quotes. */
function alternativeNames(text: string | undefined): string[] {
  return (text ?? "").split(", ").flatMap((entry) => /^(?:DNS|email|URI):([^"]+)$/.exec(entry)?.[1] ?? []);
}

/** A name goes into rules, headers and the log. */
function isPlain(name: string): boolean {
  return /^[\x21-\x7e]{1,256}$/.test(name);
}
