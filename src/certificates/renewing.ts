import { createSecureContext } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Certificate } from "../config/config.ts";
import { renewalDelayMs, retryDelayMs } from "./renewal.ts";

/** A clock that is set meanwhile is noticed after so long at the latest. */
const LOOK_MS_MAX = 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

export interface RenewingOptions {
  readonly names: readonly string[];
  /** The authority's URL, for the log. */
  readonly directory: string;
  readonly issue: (names: readonly string[]) => Promise<Certificate>;
  /** Keeps it for the next start. */
  readonly keep: (certificate: Certificate) => Promise<void>;
  readonly use: (certificate: Certificate) => void;
  readonly log: Pick<Logger, "info" | "error">;
  readonly signal: AbortSignal;
  readonly onTrouble?: OnTrouble | undefined;
}

/** Hears of what an operator should look at, and which names it is about; none: all of them. */
export type OnTrouble = (names: readonly string[], reason: string) => void;

/** Has a certificate, and has it anew before it expires. */
export class Renewing {
  readonly #o: RenewingOptions;
  /** PEM of the one in use that is for all of the names. */
  #current: string | undefined;
  #unkept: Certificate | undefined;
  /** Without success, in a row. */
  #failures = 0;

  constructor(options: RenewingOptions, current: string | undefined) {
    this.#o = options;
    this.#current = current;
  }

  /** Goes on until the signal; never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#o;
    while (!signal.aborted) {
      await this.#keep();
      const dueMs = this.#current === undefined ? 0 : renewalDelayMs(this.#current, Date.now());
      await this.#wait(dueMs > 0 ? Math.min(dueMs, LOOK_MS_MAX) : await this.#renewed());
    }
  }

  /** How long to wait after that, milliseconds. */
  async #renewed(): Promise<number> {
    try {
      const renewInMs = await this.#renew();
      this.#failures = 0;
      return Math.min(renewInMs, LOOK_MS_MAX);
    } catch (error) {
      this.#failures += 1;
      const retryMs = retryDelayMs(this.#failures);
      if (!this.#o.signal.aborted) this.#tell(error, retryMs);
      return retryMs;
    }
  }

  async #renew(): Promise<number> {
    const { names, directory, issue, use, log } = this.#o;
    const certificate = await issue(names);
    // TLS has demands of its own.
    createSecureContext(certificate);
    use(certificate);
    this.#current = certificate.cert;
    this.#unkept = certificate;
    const renewInMs = renewalDelayMs(certificate.cert, Date.now());
    log.info({ directory, names, renewInDays: Math.round(renewInMs / DAY_MS) }, "a new certificate is in use");
    await this.#keep();
    // An authority would be asked without end.
    if (renewInMs === 0)
      throw new Error("the new certificate is about to expire already: is this machine's clock right?");
    return renewInMs;
  }

  /** On a full disk it is used all the same, and kept later: an authority gives the same one only a few times a week. */
  async #keep(): Promise<void> {
    if (this.#unkept === undefined) return;
    try {
      await this.#o.keep(this.#unkept);
      this.#unkept = undefined;
    } catch (error) {
      const { names, log } = this.#o;
      log.error(
        { names, reason: reasonOf(error) },
        "the certificate cannot be kept: the next start must ask for another",
      );
    }
  }

  #tell(error: unknown, retryMs: number): void {
    const { names, directory, log } = this.#o;
    const until =
      this.#current === undefined
        ? "until then clients are shown one that they do not trust for these names"
        : "the one before stays in use";
    // What the library throws has the whole exchange in it.
    const about = { directory, names, retryInS: retryMs / 1000, reason: reasonOf(error) };
    log.error(about, `no certificate; ${until}`);
    this.#o.onTrouble?.(names, about.reason);
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#o.signal, ref: false }).catch(() => undefined);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
