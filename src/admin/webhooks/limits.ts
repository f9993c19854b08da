/** What telling one receiver may cost. */
export interface WebhookLimits {
  /** Events that wait for a receiver; with one more the oldest goes. */
  readonly queueMax: number;
  /** For one try, from the connection to the head of the answer. */
  readonly tryTimeoutMs: number;
  /** Before the second try; twice as long before each further one, up to the maximum. */
  readonly pauseMs: number;
  readonly pauseMsMax: number;
  /** After so long from its first try an event is given up. */
  readonly giveUpMs: number;
  /** How long a stop waits for what has not been told yet. */
  readonly stopMs: number;
}

export const WEBHOOK_LIMITS: WebhookLimits = {
  queueMax: 1_000,
  tryTimeoutMs: 10_000,
  pauseMs: 1_000,
  pauseMsMax: 5 * 60_000,
  giveUpMs: 60 * 60_000,
  stopMs: 2_000,
};
