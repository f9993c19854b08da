import { X509Certificate } from "node:crypto";
import type { ShownCertificate } from "../../config/config.ts";
import type { Samples } from "./samples.ts";

interface Expiry {
  readonly name: string;
  readonly atS: number;
}

/** Until when the certificates that clients are shown are good. */
export class CertificateMetrics {
  #expiries: readonly Expiry[] = [];

  use(certificate: ShownCertificate | undefined): void {
    if (certificate === undefined) return;
    const named = certificate.named ?? [];
    this.#expiries = [
      expiryOf(DEFAULT, certificate.cert),
      ...named.map(({ name, cert }) => expiryOf(name, cert)),
    ].flat();
  }

  collect(samples: Samples): void {
    for (const { name, atS } of this.#expiries) {
      samples.put("certificate_expiry_timestamp_seconds", { name }, atS);
    }
  }
}

/** For whoever asks for no name that has one of its own. */
const DEFAULT = "default";

/** TLS has its own word about what is none. */
function expiryOf(name: string, pem: string): Expiry[] {
  try {
    return [{ name, atS: Math.floor(new X509Certificate(pem).validToDate.getTime() / 1_000) }];
  } catch {
    return [];
  }
}
