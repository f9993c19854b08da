/** What happens in the cache that others may be told of, as webhooks and the API's stream of events name it. */
export const EVENT_NAMES = [
  "digest.new",
  "tag.moved",
  "tag.vanished",
  "image.evicted",
  "upstream.down",
  "upstream.up",
  "quota.low",
  "quota.spent",
  "quota.restored",
  "certificate.trouble",
  "content.damaged",
] as const;

export type EventName = (typeof EVENT_NAMES)[number];
