import type { Certificate } from "../config/config.ts";

/**
 * A certificate for a name that nobody has signed: what an authority wants to see by tls-alpn-01 (RFC 8737, section 3), with
 * the hash of the challenge's answer in it. No client trusts it.
 */
export async function selfSigned(name: string, answer: string): Promise<Certificate> {
  const { default: acme } = await import("acme-client");
  // Its type is that of the authority's answer, of which the name alone is looked at.
  const authorization = { identifier: { type: "dns", value: name } } as never;
  // With RSA: such a certificate says that it is for signing others, which with ECDSA would rule TLS 1.2 out.
  const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, answer);
  return { cert: cert.toString(), key: key.toString() };
}
