import type { Logger } from "pino";
import type { Bypassing } from "../../access/bypassing.ts";
import type { Warming } from "../warm.ts";
import { Api } from "./app.ts";
import { bypassingResource } from "./bypassing.ts";
import { warmResource } from "./warm.ts";

/** What the API tells of and acts on. */
export interface ApiParts {
  readonly bypassing: Pick<Bypassing, "list">;
  readonly warming: Warming;
  readonly log: Pick<Logger, "error" | "info">;
}

export function createApi({ bypassing, warming, log }: ApiParts): Api {
  return new Api([(app) => bypassingResource(app, bypassing), (app) => warmResource(app, warming)], log);
}
