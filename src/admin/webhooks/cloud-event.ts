import type { CacheEvent, NumberedEvent } from "../events.ts";

/** An event as CloudEvents 1.0 has it in its structured mode, as JSON. */
export interface CloudEvent {
  readonly specversion: "1.0";
  /** With `source` it names the event: one that comes twice has the same. */
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** RFC 3339. */
  readonly time: string;
  /** What it is about: an image, a registry, a digest, a host name. */
  readonly subject?: string;
  readonly datacontenttype: "application/json";
  readonly data: unknown;
}

/** The media type of one. */
export const CLOUD_EVENT_TYPE = "application/cloudevents+json; charset=utf-8";

/** `registry-cache.tag.moved`. */
export const TYPE_PREFIX = "registry-cache.";

/** Who tells it. Numbers begin anew with each start of the process, so that `start` has to be another one then. */
export interface Teller {
  readonly source: string;
  readonly start: string;
}

export function cloudEventOf(event: NumberedEvent, { source, start }: Teller): CloudEvent {
  const subject = subjectOf(event);
  return {
    specversion: "1.0",
    id: `${start}-${event.id}`,
    source,
    type: `${TYPE_PREFIX}${event.name}`,
    time: new Date(event.atMs).toISOString(),
    ...(subject === undefined ? {} : { subject }),
    datacontenttype: "application/json",
    data: event.data,
  };
}

function subjectOf({ data }: CacheEvent): string | undefined {
  if ("image" in data) return data.image;
  if ("registry" in data) return data.registry;
  return "digest" in data ? data.digest : data.names[0];
}
