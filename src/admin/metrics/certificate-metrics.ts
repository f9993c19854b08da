import { X509Certificate } from "node:crypto";
import type { ShownCertificate } from "../../config/config.ts";
import type { Samples } from "./samples.ts";

interface Validity {
  readonly name: string;
  /** Seconds since the epoch. */
  readonly fromS: number;
  readonly toS: number;
}

/** Until when the certificates that clients are shown are good. */
export class CertificateMetrics {
  #validities: readonly Validity[] = [];

  use(certificate: ShownCertificate | undefined): void {
    if (certificate === undefined) return;
    const named = certificate.named ?? [];
    this.#validities = [
      validityOf(DEFAULT, certificate.cert),
      ...named.map(({ name, cert }) => validityOf(name, cert)),
    ].flat();
  }

  collect(samples: Samples): void {
    for (const { name, fromS, toS } of this.#validities) {
      samples.put("certificate_not_before_timestamp_seconds", { name }, fromS);
      samples.put("certificate_expiry_timestamp_seconds", { name }, toS);
    }
  }
}

/** For whoever asks for no name that has one of its own. */
const DEFAULT = "default";

/** TLS has its own word about what is none. */
function validityOf(name: string, pem: string): Validity[] {
  try {
    const { validFromDate, validToDate } = new X509Certificate(pem);
    return [{ name, fromS: secondsOf(validFromDate), toS: secondsOf(validToDate) }];
  } catch {
    return [];
  }
}

function secondsOf(date: Date): number {
  return Math.floor(date.getTime() / 1_000);
}
