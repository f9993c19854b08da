import type { Logger } from "pino";
import { parseImageName } from "../../oci/image-name.ts";
import { repositoryPath } from "../../oci/reference.ts";
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
import type { Evicting, PinBook } from "./parts.ts";
import { evictResource } from "./evict.ts";
import { pinsResource } from "./pins.ts";
import { type RegistriesParts, registriesResource } from "./registries.ts";
import type { Reindexes, Scrubbing } from "./parts.ts";
import { reindexResource } from "./reindex.ts";
import { repositoriesResource } from "./repositories.ts";
import { scrubResource } from "./scrub.ts";
import { type StatisticsParts, statisticsResource } from "./statistics.ts";
import { statusOf, type StatusParts, statusResource } from "./status.ts";
import { warmResource } from "./warm.ts";

/** What the API tells of and acts on. */
export interface ApiParts extends StatusParts, RegistriesParts, ImagesParts, HistoryParts, StatisticsParts {
  readonly registries: RegistriesParts["registries"] & ImagesParts["registries"];
  readonly counters: StatisticsParts["counters"];
  readonly events: Events;
  readonly pins: PinBook;
  readonly evicting: Evicting;
  readonly bypassing: Pick<Bypassing, "list">;
  readonly scrubbing: Scrubbing;
  readonly reindexes: Reindexes;
  readonly warming: Warming;
  readonly log: Pick<Logger, "error" | "info">;
}

export function createApi(parts: ApiParts): Api {
  const streams = new EventStreams({
    events: parts.events,
    status: async (isAdmin) => await statusOf(parts, isAdmin),
    isForAll: async ({ data }) => !("image" in data) || (await isForAll(data.image, parts)),
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
      (app) => pinsResource(app, parts.pins),
      (app) => evictResource(app, parts),
      (app) => scrubResource(app, parts.scrubbing),
      (app) => reindexResource(app, parts.reindexes),
      (app) => warmResource(app, parts.warming),
      (app) => bypassingResource(app, parts.bypassing),
    ],
    parts.log,
  );
}

/** Names that lists leave out come from registries to which clients' own credentials are passed. */
async function isForAll(image: string, { registries, isListed }: ApiParts): Promise<boolean> {
  const name = parseImageName(image, registries);
  if ("problem" in name) return false;
  const { registryId } = name.repository;
  const isPassing = registries.some(({ id, passThrough }) => id === registryId && passThrough);
  return !isPassing || (await isListed(repositoryPath(name.repository)));
}
