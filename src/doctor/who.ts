import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { resolve } from "node:path";
import { packageVersion } from "../lib/version.ts";

/** In the answer of `/healthz`: that it is us who listen there, in which version, and on which data folder. */
const HEADER = "registry-cache";

export interface Who {
  readonly version: string;
  /** Of the path of its data folder. */
  readonly data: string;
}

export function whoWeAre(dataDir: string): Record<string, string> {
  return { "Registry-Cache": `version=${packageVersion()}; data=${dataMark(dataDir)}` };
}

/** Who has answered; undefined where that is no Registry Cache. */
export function whoAnswered(headers: IncomingHttpHeaders): Who | undefined {
  const said = headers[HEADER];
  const [, version, data] =
    /^version=([\w.+-]{1,40}); data=([0-9a-f]{12})$/.exec(typeof said === "string" ? said : "") ?? [];
  return version === undefined || data === undefined ? undefined : { version, data };
}

/** Tells data folders apart without naming them. */
export function dataMark(dataDir: string): string {
  return createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 12);
}
