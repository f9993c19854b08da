import { Agent } from "node:https";
import type { Client } from "acme-client";
import type { Logger } from "pino";
import type { AcmeConfig, Certificate } from "../config/config.ts";
import { Changes, orAborted } from "../lib/wait.ts";
import type { AcmeStore } from "./acme-store.ts";
import type { Challenges } from "./challenges.ts";
import { failAtOnce } from "./reaching.ts";

/** For one question to the authority. */
const QUESTION_MS = 30_000;
/** How often the authority is asked whether it has looked: soon at first, for about three minutes. */
const POLLING = { backoffAttempts: 10, backoffMin: 1_000, backoffMax: 30_000 } as const;
/** For a whole certificate. An authority may ask us to wait, and for as long as it likes. */
const ISSUE_MS_MAX = 15 * 60_000;
/** At once: a name that is not found takes minutes, in which the others shall have theirs. */
const ORDERS_MAX = 4;

export interface AuthorityOptions {
  readonly config: AcmeConfig;
  readonly store: AcmeStore;
  readonly challenges: Challenges;
  readonly log: Pick<Logger, "info">;
  readonly signal: AbortSignal;
}

interface Account {
  readonly key: string;
  readonly url: string;
}

/** An authority that gives out certificates by ACME (RFC 8555), and our account there. */
export class Authority {
  readonly #o: AuthorityOptions;
  readonly #freed = new Changes();
  #orders = 0;
  #account: Promise<Account> | undefined;

  constructor(options: AuthorityOptions) {
    this.#o = options;
  }

  /** A new certificate with a new key. Rejects with whatever has failed, or the signal's reason. */
  async issue(names: readonly string[]): Promise<Certificate> {
    const { signal } = this.#o;
    while (this.#orders >= ORDERS_MAX) await this.#freed.next(signal);
    this.#orders += 1;
    const timeout = AbortSignal.timeout(ISSUE_MS_MAX);
    try {
      // What is under way cannot be taken back; nobody waits for it any more.
      return await orAborted(this.#issue(names), AbortSignal.any([signal, timeout]));
    } catch (error) {
      // It may be the account that the authority does not know any more.
      this.#account = undefined;
      if (timeout.aborted) throw new Error(`it took longer than ${ISSUE_MS_MAX / 60_000} minutes`, { cause: error });
      throw error;
    } finally {
      this.#orders -= 1;
      this.#freed.notify();
    }
  }

  async #issue(names: readonly string[]): Promise<Certificate> {
    const { config, challenges, log } = this.#o;
    log.info({ directory: config.directory, names }, "asking for a certificate");
    const acme = await this.#library();
    const { key: accountKey, url: accountUrl } = await (this.#account ??= this.#register());
    const client = new acme.Client({ directoryUrl: config.directory, accountKey, accountUrl, ...POLLING });
    const key = (await acme.crypto.createPrivateEcdsaKey()).toString();
    const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, key);
    const cert = await client.auto({
      csr,
      // Whether the authority can reach us is for the authority to find out: names may lead elsewhere from here.
      skipChallengeVerification: true,
      challengePriority: [challenges.kind],
      challengeCreateFn: async ({ identifier: { value: name } }, { type, token }, answer) => {
        if (type !== challenges.kind) throw new Error(`the authority does not look at ${name} by ${challenges.kind}`);
        await challenges.show({ name, token, answer });
        log.info({ name }, `the authority looks whether the name is ours, ${challenges.how}`);
      },
      challengeRemoveFn: async ({ identifier: { value: name } }, { token }) => challenges.withdraw({ name, token }),
    });
    return { cert, key };
  }

  async #register(): Promise<Account> {
    const { config, store } = this.#o;
    const acme = await this.#library();
    const key = await store.accountKey(async () => (await acme.crypto.createPrivateEcdsaKey()).toString());
    const client: Client = new acme.Client({ directoryUrl: config.directory, accountKey: key, ...POLLING });
    const contact = config.email === undefined ? {} : { contact: [`mailto:${config.email}`] };
    await client.createAccount({ termsOfServiceAgreed: true, ...contact });
    return { key, url: client.getAccountUrl() };
  }

  async #library() {
    const { default: acme } = await import("acme-client");
    acme.axios.defaults.timeout = QUESTION_MS;
    failAtOnce(acme.axios);
    const { directoryCa } = this.#o.config;
    if (directoryCa !== undefined) acme.axios.defaults.httpsAgent ??= new Agent({ ca: directoryCa });
    return acme;
  }
}
