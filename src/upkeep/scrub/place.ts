import { parseDigest } from "../../oci/digest.ts";
import { ownText, replaceOwnText } from "../own-text.ts";

/** Beside the catalog: whoever deletes it begins the next scrub from the front, and loses nothing else. */
export const SCRUB_FILE = "scrub.json";

/** How far a scrub is, and how it is going. Times are milliseconds since the epoch. */
export interface ScrubPlace {
  /** `running` also after the process was stopped or killed: the next one goes on by itself. */
  readonly state: "running" | "stopped" | "finished";
  /** First every blob is hashed, then it is looked where links and tags lead. */
  readonly stage: "blobs" | "links";
  /** The last digest, or the last repository's path, that was done; empty: none. */
  readonly after: string;
  readonly blobsDone: number;
  readonly bytesDone: number;
  readonly damaged: number;
  readonly healed: number;
  readonly bytesPerSecond: number;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
}

/** Undefined where there is none, or none that can be understood. */
export async function readPlace(path: string): Promise<ScrubPlace | undefined> {
  return parsePlace(await ownText(path));
}

export async function writePlace(path: string, place: ScrubPlace): Promise<void> {
  await replaceOwnText(path, `${JSON.stringify(place, undefined, 2)}\n`);
}

/** A wrong place would leave something out: whatever is odd in the file begins anew. */
export function parsePlace(text: string): ScrubPlace | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  const place = json as ScrubPlace;
  const numbers = [place.blobsDone, place.bytesDone, place.damaged, place.healed, place.bytesPerSecond];
  const times = [place.startedAtMs, place.finishedAtMs].filter((one) => one !== undefined);
  const isOdd =
    !["running", "stopped", "finished"].includes(place.state) ||
    !["blobs", "links"].includes(place.stage) ||
    typeof place.after !== "string" ||
    (place.stage === "blobs" && place.after !== "" && parseDigest(place.after) === undefined) ||
    [...numbers, ...times].some((one) => !Number.isSafeInteger(one) || one < 0) ||
    place.bytesPerSecond < 1;
  return isOdd ? undefined : place;
}
