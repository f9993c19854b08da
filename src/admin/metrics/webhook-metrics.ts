import type { HookCounts } from "../webhooks/hook.ts";
import type { Samples } from "./samples.ts";

/** By their position in the configuration, from 1 on: addresses have secrets in them. */
export function collectWebhooks(hooks: readonly HookCounts[], samples: Samples): void {
  for (const [index, { sent, failed, dropped, waiting }] of hooks.entries()) {
    const webhook = String(index + 1);
    for (const [result, count] of Object.entries({ sent, failed, dropped })) {
      samples.put("webhook_events_total", { webhook, result }, count);
    }
    samples.put("webhook_waiting_events", { webhook }, waiting);
  }
}
