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
  if (certificate === undefined) return [];
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
