import type { Logger } from "pino";
import { readClientCertificates, revocationWarnings } from "../config/access.ts";
import type { Certificate, ClientAuthorities, ClientCertificates, TlsConfig } from "../config/config.ts";
import type { Finding } from "../config/issues.ts";
import { readTls } from "../config/tls.ts";
import { WatchedFiles } from "../lib/watched-file.ts";
import type { OnTrouble } from "./renewing.ts";

/** Something that is followed until it is stopped. */
export interface Following {
  stop(): Promise<void>;
}

type Log = Pick<Logger, "info" | "warn" | "error">;

/** Reads certificate and key anew when one of their files changes; what cannot be used leaves the ones before in use. */
export function followCertificate(
  tls: TlsConfig,
  log: Log,
  use: (certificate: Certificate) => void,
  onTrouble?: OnTrouble,
): Following {
  let used: Certificate = tls;
  const read = async () => {
    const { tls: found, findings, warnings } = await readTls({ mode: "files", ...tls.files }, "/");
    // Of two files one is always replaced first; the other one's change is looked at as well.
    if (found === undefined || findings.length > 0) throw new Unusable(findings);
    if (found.cert === used.cert && found.key === used.key) return;
    used = found;
    use({ cert: found.cert, key: found.key });
    log.info({ cert: tls.files.cert }, "the certificates were read anew");
    for (const warning of warnings) log.warn(warning);
  };
  return followed([tls.files.cert, tls.files.key], read, log, (reason) => onTrouble?.([], reason));
}

/** The same for what clients' certificates are judged by. */
export function followClients(
  clients: ClientCertificates,
  log: Log,
  use: (clients: ClientAuthorities) => void,
): Following {
  const { ca, crl } = clients.files;
  let used: ClientAuthorities = clients;
  const read = async () => {
    const findings: Finding[] = [];
    const found = await readClientCertificates(inputOf(clients), "/", findings);
    if (found === undefined || findings.length > 0) throw new Unusable(findings);
    if (found.ca === used.ca && found.crl === used.crl) return;
    used = found;
    use({ ca: found.ca, crl: found.crl });
    log.info({ ca, crl }, "what clients' certificates are judged by was read anew");
    await warnOfRevocations(used, log);
  };
  const following = followed(crl === undefined ? [ca] : [ca, crl], read, log);
  const daily = setInterval(() => void warnOfRevocations(used, log), DAY_MS).unref();
  return {
    stop: async () => {
      clearInterval(daily);
      await following.stop();
    },
  };
}

const DAY_MS = 24 * 60 * 60_000;

/** What is in the files is wrong. */
class Unusable extends Error {
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super(findings.map(({ message }) => message).join("; "));
    this.findings = findings;
  }
}

function followed(
  paths: readonly string[],
  read: () => Promise<void>,
  log: Log,
  onTrouble: (reason: string) => void = () => undefined,
): Following {
  const failed = (error: Error) => {
    const findings = error instanceof Unusable ? error.findings : [{ message: error.message, hint: undefined }];
    for (const { message, hint } of findings)
      log.error({ hint }, `the certificates from before stay in use: ${message}`);
    onTrouble(error.message);
  };
  const watched = new WatchedFiles({ paths, read, failed });
  watched.start();
  return watched;
}

async function warnOfRevocations({ crl }: ClientAuthorities, log: Pick<Logger, "warn">): Promise<void> {
  if (crl === undefined) return;
  for (const warning of await revocationWarnings(crl, Date.now())) log.warn(warning);
}

function inputOf({ files: { ca, crl }, names }: ClientCertificates) {
  return { ca, ...(crl === undefined ? {} : { crl }), names: [...names] };
}
