import type { Logger } from "pino";
import type { AcmeConfig, Certificate, Config, Listen, ShownCertificate } from "../config/config.ts";
import { within } from "../lib/wait.ts";
import type { Screening } from "../server/entrance.ts";
import { AcmeStore } from "./acme-store.ts";
import { AlpnChallenges } from "./alpn-challenges.ts";
import { Authority } from "./authority.ts";
import type { Challenges } from "./challenges.ts";
import { HttpChallenges } from "./http-challenges.ts";
import { coversAll } from "./renewal.ts";
import { type OnTrouble, Renewing } from "./renewing.ts";
import { selfSigned } from "./self-signed.ts";

/** How long a stop waits for a question under way, which cannot be taken back. */
const LAST_WORDS_MS = 1_000;

/** Certificates that are had from an authority, and had anew before they expire. */
export interface Acme {
  /** What is kept from before; one that nobody trusts where there is none yet. */
  readonly certificate: ShownCertificate;
  readonly screening: Screening | undefined;
  /** Opens what answers challenges, and begins; `use` hears of every new certificate. Rejects with the system's error. */
  start(use: (certificate: ShownCertificate) => void): Promise<void>;
  stop(): Promise<void>;
}

/** Rejects with the system's error. */
export async function openAcme(
  config: AcmeConfig,
  { dataDir, listen }: Pick<Config, "dataDir"> & { readonly listen: readonly Pick<Listen, "port" | "tls">[] },
  log: Logger,
  onTrouble?: OnTrouble,
): Promise<Acme> {
  const store = new AcmeStore(dataDir, config.directory);
  const shown = await openShown(config, store);
  const challenges: Challenges =
    config.challenge.kind === "http-01"
      ? new HttpChallenges(config.challenge.listen, listen.find(({ tls }) => tls)?.port)
      : new AlpnChallenges(log);
  const life = new AbortController();
  const { signal } = life;
  const authority = new Authority({ config, store, challenges, log, signal });
  let running: Promise<unknown> = Promise.resolve();
  return {
    certificate: shown.certificate,
    screening: challenges.screening,
    start: async (use) => {
      await challenges.open();
      const { directory } = config;
      const issue = async (names: readonly string[]) => await authority.issue(names);
      const all = shown.parts.map(({ name, names, own }) => {
        const keep = async (certificate: Certificate) => await store.keep(name, certificate);
        const useIt = (certificate: Certificate) => use(shown.replace(name, certificate));
        return new Renewing({ names, directory, issue, keep, use: useIt, log, signal, onTrouble }, own?.cert);
      });
      running = Promise.all(all.map(async (one) => await one.run()));
    },
    stop: async () => {
      life.abort();
      await within(running, LAST_WORDS_MS);
      await challenges.close();
    },
  };
}

/** What one certificate is for. */
interface Part {
  /** Undefined: for all of them. */
  readonly name: string | undefined;
  readonly names: readonly string[];
  /** What is kept from before and good for all of these names. */
  readonly own: Certificate | undefined;
}

/** What clients are shown, put together from what there is for each part. */
interface Shown {
  readonly parts: readonly Part[];
  readonly certificate: ShownCertificate;
  /** The same with another one for a part. */
  replace(name: string | undefined, certificate: Certificate): ShownCertificate;
}

async function openShown({ names, oneEach }: AcmeConfig, store: AcmeStore): Promise<Shown> {
  const held = new Map<string | undefined, Certificate>();
  const parts: Part[] = [];
  for (const name of oneEach ? names : [undefined]) {
    const kept = await store.certificate(name);
    const its = name === undefined ? names : [name];
    // Where a name was added, the others' clients go on trusting what they knew until there is one for all.
    if (kept !== undefined) held.set(name, kept);
    parts.push({ name, names: its, own: kept !== undefined && coversAll(kept.cert, its) ? kept : undefined });
  }
  const [first] = parts;
  const none = held.get(first?.name) ?? (await selfSigned(names[0] ?? "localhost", "no certificate yet"));
  const compose = (): ShownCertificate => {
    const { cert, key } = held.get(first?.name) ?? none;
    if (!oneEach) return { cert, key };
    return { cert, key, named: [...held].flatMap(([name, one]) => (name === undefined ? [] : [{ name, ...one }])) };
  };
  return {
    parts,
    certificate: compose(),
    replace: (name, certificate) => {
      held.set(name, certificate);
      return compose();
    },
  };
}
