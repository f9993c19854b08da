import { distance } from "fastest-levenshtein";

/** Shorter words are other words when two of their letters are. */
const SWAPPED_LENGTH_MIN = 4;

/**
 * The known word that was probably meant, or undefined where none is near: up to a third of the letters may differ,
 * so that short words do not resemble everything, but always two in words where two can be swapped.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    // A cheap lower bound spares the quadratic comparison with absurdly long words.
    const longer = Math.max(word.length, candidate.length);
    const allowed = longer < SWAPPED_LENGTH_MIN ? 1 : Math.max(2, Math.floor(longer / 3));
    if (Math.abs(word.length - candidate.length) > allowed) continue;
    const away = distance(word.toLowerCase(), candidate.toLowerCase());
    if (away <= allowed && (best === undefined || away < best.distance)) best = { word: candidate, distance: away };
  }
  return best?.word;
}
