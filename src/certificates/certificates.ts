import type { Logger } from "pino";
import type { ClientAuthorities, Config, ShownCertificate } from "../config/config.ts";
import type { Screening } from "../server/entrance.ts";
import { openAcme } from "./acme.ts";
import type { OnTrouble } from "./renewing.ts";
import { followCertificate, followClients, type Following } from "./follow-files.ts";

/** What TLS is spoken with from now on. */
export interface TlsNews {
  readonly certificate: ShownCertificate;
  readonly clients: ClientAuthorities | undefined;
}

/** What clients are spoken to with, and what becomes of it. */
export interface Certificates {
  /** For the beginning; undefined: plain HTTP. */
  readonly certificate: ShownCertificate | undefined;
  /** Takes the authority's questions out of the connections that come in; undefined: none come there. */
  readonly screening: Screening | undefined;
  /** Follows files, and has certificates from an authority; `use` hears of what is to be used instead. */
  start(use: (news: TlsNews) => void): Promise<void>;
  stop(): Promise<void>;
}

/** Rejects with the system's error. */
export async function openCertificates(config: Config, log: Logger, onTrouble?: OnTrouble): Promise<Certificates> {
  const { tls, access } = config;
  const acme = config.acme && (await openAcme(config.acme, config, log, onTrouble));
  const certificate = acme?.certificate ?? tls;
  const following: Following[] = [];
  return {
    certificate,
    screening: acme?.screening,
    start: async (use) => {
      if (certificate === undefined) return;
      // The server's certificate and what clients' ones are judged by change each for itself.
      let used: TlsNews = { certificate, clients: access.mtls };
      const change = (news: Partial<TlsNews>) => use((used = { ...used, ...news }));
      if (access.mtls !== undefined) following.push(followClients(access.mtls, log, (clients) => change({ clients })));
      if (acme !== undefined) await acme.start((changed) => change({ certificate: changed }));
      else if (tls !== undefined)
        following.push(followCertificate(tls, log, (read) => change({ certificate: read }), onTrouble));
    },
    stop: async () => {
      await Promise.all([acme?.stop(), ...following.map(async (one) => await one.stop())]);
    },
  };
}
