import type { Logger } from "pino";
import type { Certificate, Config } from "../config/config.ts";
import { type Acme, openAcme } from "./acme.ts";
import { followTlsFiles, type TlsNews } from "./follow-files.ts";

/** What clients are spoken to with, and what becomes of it. */
export interface Certificates {
  /** For the beginning; undefined: plain HTTP. */
  readonly certificate: Certificate | undefined;
  /** Follows files, or has a certificate from an authority; `use` hears of what is to be used instead. */
  start(use: (news: TlsNews) => void): Promise<void>;
  stop(): Promise<void>;
}

/** Rejects with the system's error. */
export async function openCertificates(config: Config, log: Logger): Promise<Certificates> {
  const clients = config.access.mtls;
  const acme = config.acme && (await openAcme(config.acme, config.dataDir, log));
  let following: { stop(): Promise<void> } | undefined;
  return {
    certificate: acme?.certificate ?? config.tls,
    start: async (use) => {
      if (acme === undefined) {
        if (config.tls !== undefined) following = await followTlsFiles({ tls: config.tls, clients }, log, use);
      } else await acme.start((certificate) => use({ certificate, clients }));
    },
    stop: async () => await stopped(acme, following),
  };
}

async function stopped(acme: Acme | undefined, following: { stop(): Promise<void> } | undefined): Promise<void> {
  await Promise.all([acme?.stop(), following?.stop()]);
}
