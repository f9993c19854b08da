import type { Logger } from "pino";
import type { Bypassing } from "../../access/bypassing.ts";
import type { EventStreams } from "../event-stream.ts";
import type { Warming } from "../warm.ts";
import { Api } from "./app.ts";
import { bypassingResource } from "./bypassing.ts";
import { eventsResource } from "./events.ts";
import { warmResource } from "./warm.ts";

/** What the API tells of and acts on. */
export interface ApiParts {
  readonly bypassing: Pick<Bypassing, "list">;
  readonly streams: EventStreams;
  readonly warming: Warming;
  readonly log: Pick<Logger, "error" | "info">;
}

export function createApi({ bypassing, streams, warming, log }: ApiParts): Api {
  return new Api(
    [
      (app) => eventsResource(app, streams),
      (app) => warmResource(app, warming),
      (app) => bypassingResource(app, bypassing),
    ],
    log,
  );
}
