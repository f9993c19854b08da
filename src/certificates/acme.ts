import { Agent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { AcmeConfig, Certificate } from "../config/config.ts";
import { within } from "../lib/wait.ts";
import { AcmeStore } from "./acme-store.ts";
import { HttpChallenges } from "./http-challenges.ts";
import { coversAll, renewalDelayMs, retryDelayMs } from "./renewal.ts";

/** For one question to the authority. */
const QUESTION_MS = 30_000;
/** A clock that is set meanwhile is noticed after so long at the latest. */
const LOOK_MS_MAX = 60 * 60_000;

/** How often the authority is asked whether it has looked: soon at first, for about three minutes. */
const POLLING = { backoffAttempts: 10, backoffMin: 1_000, backoffMax: 30_000 } as const;
/** How long a stop waits for a question under way. */
const LAST_WORDS_MS = 1_000;

/** A certificate that is had from an authority, and had anew before it expires. */
export interface Acme {
  /** What is kept from before; one that nobody trusts where there is none yet. */
  readonly certificate: Certificate;
  /** Listens for challenges and begins; `use` hears of every new certificate. Rejects with the system's error. */
  start(use: (certificate: Certificate) => void): Promise<void>;
  stop(): Promise<void>;
}

export async function openAcme(config: AcmeConfig, dataDir: string, log: Logger): Promise<Acme> {
  const store = new AcmeStore(dataDir);
  const kept = await store.certificate(config.directory);
  const own = kept !== undefined && coversAll(kept.cert, config.names) ? kept : undefined;
  const challenges = new HttpChallenges();
  const life = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return {
    certificate: own ?? (await placeholder(config.names)),
    start: async (use) => {
      await challenges.listen(config.httpListen);
      running = new Renewal({ config, store, challenges, log, use, signal: life.signal }).run(own?.cert);
    },
    stop: async () => {
      life.abort();
      // A question to the authority cannot be taken back.
      await within(running, LAST_WORDS_MS);
      await challenges.close();
    },
  };
}

interface RenewalOptions {
  readonly config: AcmeConfig;
  readonly store: AcmeStore;
  readonly challenges: HttpChallenges;
  readonly log: Logger;
  readonly use: (certificate: Certificate) => void;
  readonly signal: AbortSignal;
}

class Renewal {
  readonly #o: RenewalOptions;

  constructor(options: RenewalOptions) {
    this.#o = options;
  }

  /** Goes on until the signal; never rejects. */
  async run(cert: string | undefined): Promise<void> {
    let current = cert;
    for (let failures = 0; !this.#o.signal.aborted;) {
      const dueMs = current === undefined ? 0 : renewalDelayMs(current, Date.now());
      if (dueMs > 0) {
        await this.#wait(Math.min(dueMs, LOOK_MS_MAX));
        continue;
      }
      try {
        current = (await this.#renew()).cert;
        failures = 0;
      } catch (error) {
        failures += 1;
        const retryMs = retryDelayMs(failures);
        if (!this.#o.signal.aborted) this.#tell(error, current, retryMs);
        await this.#wait(retryMs);
      }
    }
  }

  #tell(error: unknown, current: string | undefined, retryMs: number): void {
    const { config, log } = this.#o;
    const until =
      current === undefined ? "until then clients are shown one that they do not trust" : "the one before stays in use";
    const about = { directory: config.directory, names: config.names, retryInS: retryMs / 1000 };
    // What the library throws has the whole exchange in it.
    log.error({ ...about, reason: error instanceof Error ? error.message : String(error) }, `no certificate; ${until}`);
  }

  async #renew(): Promise<Certificate> {
    const { config, store, challenges, log, use } = this.#o;
    const { directory, names, email } = config;
    log.info({ directory, names }, "asking for a certificate");
    const { default: acme } = await import("acme-client");
    acme.axios.defaults.timeout = QUESTION_MS;
    if (config.directoryCa !== undefined) acme.axios.defaults.httpsAgent = new Agent({ ca: config.directoryCa });
    const newKey = async () => (await acme.crypto.createPrivateEcdsaKey()).toString();
    const accountKey = await store.accountKey(directory, newKey);
    const client = new acme.Client({ directoryUrl: directory, accountKey, ...POLLING });
    const key = await newKey();
    const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, key);
    const cert = await client.auto({
      csr,
      ...(email === undefined ? {} : { email }),
      termsOfServiceAgreed: true,
      // Whether the authority can reach us is for the authority to find out: names may lead elsewhere from here.
      skipChallengeVerification: true,
      challengePriority: ["http-01"],
      challengeCreateFn: async (authorization, { token }, answer) => {
        challenges.set(token, answer);
        log.info(
          { name: authorization.identifier.value },
          "the authority looks whether the name is ours, on plain HTTP",
        );
      },
      challengeRemoveFn: async (_authorization, { token }) => challenges.remove(token),
    });
    const certificate = { cert, key };
    await store.keep(directory, certificate);
    use(certificate);
    const renewInDays = Math.round(renewalDelayMs(cert, Date.now()) / (24 * 60 * 60_000));
    log.info({ directory, names, renewInDays }, "a new certificate is in use");
    return certificate;
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#o.signal, ref: false }).catch(() => undefined);
  }
}

/** So that TLS can be spoken at all until there is one; nobody trusts it. */
async function placeholder(names: readonly string[]): Promise<Certificate> {
  const { default: acme } = await import("acme-client");
  const authorization = { identifier: { type: "dns", value: names[0] ?? "localhost" } };
  const [key, cert] = await acme.crypto.createAlpnCertificate(authorization as never, "no certificate yet");
  return { cert: cert.toString(), key: key.toString() };
}
