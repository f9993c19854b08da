import type { Logger } from "pino";
import { readClientCertificates, revocationWarnings } from "../config/access.ts";
import type { Certificate, ClientAuthorities, ClientCertificates, TlsConfig } from "../config/config.ts";
import type { Finding } from "../config/issues.ts";
import { readTls } from "../config/tls.ts";
import { WatchedFiles } from "../lib/watched-file.ts";

/** What TLS is spoken with, as the files have it. */
export interface TlsFiles {
  readonly tls: TlsConfig;
  readonly clients: ClientCertificates | undefined;
}

/** What is used from now on. */
export interface TlsNews {
  readonly certificate: Certificate;
  readonly clients: ClientAuthorities | undefined;
}

/**
 * Reads certificate, key, and what clients' certificates are judged by, anew when one of their files changes; gives on what can
 * be used. What cannot leaves in use what was before.
 */
export async function followTlsFiles(
  { tls, clients }: TlsFiles,
  log: Pick<Logger, "info" | "warn" | "error">,
  use: (news: TlsNews) => void,
): Promise<{ stop(): Promise<void> }> {
  const files = [tls.files.cert, tls.files.key, clients?.files.ca, clients?.files.crl];
  let used: TlsNews = { certificate: tls, clients };
  const watched = new WatchedFiles(
    files.filter((file) => file !== undefined),
    async () => {
      const read = await readTls({ mode: "files", ...tls.files }, "/");
      const findings: Finding[] = [...read.findings];
      const authorities = clients && (await readClientCertificates(inputOf(clients), "/", findings));
      // Of two files one is always replaced first; the other one's change is looked at as well.
      for (const { message, hint } of findings)
        log.error({ hint }, `the certificates from before stay in use: ${message}`);
      if (read.tls === undefined || findings.length > 0) return;
      const news = { certificate: read.tls, clients: authorities };
      if (isSame(news, used)) return;
      used = news;
      use(news);
      log.info({ cert: tls.files.cert }, "the certificates were read anew");
      for (const warning of read.warnings) log.warn(warning);
      await warnOfRevocations(authorities, log);
    },
  );
  await watched.start();
  const daily = setInterval(() => void warnOfRevocations(used.clients, log), DAY_MS).unref();
  return {
    stop: async () => {
      clearInterval(daily);
      await watched.stop();
    },
  };
}

const DAY_MS = 24 * 60 * 60_000;

async function warnOfRevocations(clients: ClientAuthorities | undefined, log: Pick<Logger, "warn">): Promise<void> {
  if (clients?.crl === undefined) return;
  for (const warning of await revocationWarnings(clients.crl, Date.now())) log.warn(warning);
}

function inputOf({ files: { ca, crl }, names }: ClientCertificates) {
  return { ca, ...(crl === undefined ? {} : { crl }), names: [...names] };
}

function isSame(one: TlsNews, other: TlsNews): boolean {
  return (
    one.certificate.cert === other.certificate.cert &&
    one.certificate.key === other.certificate.key &&
    one.clients?.ca === other.clients?.ca &&
    one.clients?.crl === other.clients?.crl
  );
}
