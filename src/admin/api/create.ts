import type { Logger } from "pino";
import type { Bypassing } from "../../access/bypassing.ts";
import { EventStreams } from "../event-stream.ts";
import type { Events } from "../events.ts";
import type { Warming } from "../warm.ts";
import { activityResource } from "./activity.ts";
import { Api } from "./app.ts";
import { bypassingResource } from "./bypassing.ts";
import { eventsResource } from "./events.ts";
import { type HistoryParts, historyResource } from "./history.ts";
import { type ImagesParts, imagesResource } from "./images.ts";
import { type RegistriesParts, registriesResource } from "./registries.ts";
import { repositoriesResource } from "./repositories.ts";
import { type StatisticsParts, statisticsResource } from "./statistics.ts";
import { statusOf, type StatusParts, statusResource } from "./status.ts";
import { warmResource } from "./warm.ts";

/** What the API tells of and acts on. */
export interface ApiParts extends StatusParts, RegistriesParts, ImagesParts, HistoryParts, StatisticsParts {
  readonly registries: RegistriesParts["registries"] & ImagesParts["registries"];
  readonly counters: StatisticsParts["counters"];
  readonly events: Events;
  readonly bypassing: Pick<Bypassing, "list">;
  readonly warming: Warming;
  readonly log: Pick<Logger, "error" | "info">;
}

export function createApi(parts: ApiParts): Api {
  const streams = new EventStreams({
    events: parts.events,
    status: async (isAdmin) => await statusOf(parts, isAdmin),
    run: parts.startedAtMs.toString(36),
  });
  return new Api(
    [
      (app) => statusResource(app, parts),
      (app) => activityResource(app, parts.activity),
      (app) => eventsResource(app, streams),
      (app) => registriesResource(app, parts),
      (app) => repositoriesResource(app, parts),
      (app) => imagesResource(app, parts),
      (app) => historyResource(app, parts),
      (app) => statisticsResource(app, parts),
      (app) => warmResource(app, parts.warming),
      (app) => bypassingResource(app, parts.bypassing),
    ],
    parts.log,
  );
}
