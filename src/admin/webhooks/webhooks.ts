import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Logger } from "pino";
import type { Config, Webhook } from "../../config/config.ts";
import type { Events } from "../events.ts";
import { cloudEventOf, type Teller } from "./cloud-event.ts";
import { Hook, type HookCounts } from "./hook.ts";
import { WEBHOOK_LIMITS, type WebhookLimits } from "./limits.ts";
import { agentsBy, post } from "./post.ts";

export interface WebhooksOptions {
  readonly config: Pick<Config, "webhooks" | "proxy" | "url">;
  readonly events: Pick<Events, "subscribe">;
  readonly version: string;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly limits?: WebhookLimits;
}

export interface Webhooks {
  /** By the position in the configuration. */
  counts(): readonly HookCounts[];
  /** Waits briefly for what has not been told yet. */
  stop(): Promise<void>;
}

/** So that numbers that begin anew with each start mean other events. */
const START_BYTES = 6;

/** Tells the configured receivers what happens. */
export function startWebhooks({ config, events, version, log, limits = WEBHOOK_LIMITS }: WebhooksOptions): Webhooks {
  const teller: Teller = {
    source: config.url ?? `urn:registry-cache:${encodeURIComponent(hostname())}`,
    start: randomBytes(START_BYTES).toString("hex"),
  };
  const agents = agentsBy(config.proxy);
  const userAgent = `registry-cache/${version}`;
  const hooks = config.webhooks.map((webhook) => {
    const { url, events: names, secret } = webhook;
    const what = { url: new URL(url), secret, userAgent, agents, timeoutMs: limits.tryTimeoutMs };
    const hook = new Hook({
      shown: shownUrl(webhook),
      post: async (body, signal) => await post({ ...what, body, signal }),
      limits,
      log,
    });
    return { hook, names: new Set<string>(names) };
  });
  const unsubscribe = events.subscribe((event) => {
    const wanted = hooks.filter(({ names }) => names.has(event.name));
    if (wanted.length === 0) return;
    const told = cloudEventOf(event, teller);
    for (const { hook } of wanted) hook.add(told);
  });
  return {
    counts: () => hooks.map(({ hook }) => hook.counts),
    stop: async () => {
      unsubscribe();
      await Promise.all(hooks.map(async ({ hook }) => await hook.stop()));
    },
  };
}

/** The receivers of many services have their secret in the path. */
export function shownUrl({ url }: Pick<Webhook, "url">): string {
  return new URL(url).origin;
}
