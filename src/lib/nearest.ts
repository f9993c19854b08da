import { distance } from "fastest-levenshtein";

/**
 * The known word that was probably meant, or undefined where none is near: up to a third of the letters may differ,
 * so that short words do not resemble everything.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    // A cheap lower bound spares the quadratic comparison with absurdly long words.
    const allowed = Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    if (Math.abs(word.length - candidate.length) > allowed) continue;
    const away = distance(word.toLowerCase(), candidate.toLowerCase());
    if (away <= allowed && (best === undefined || away < best.distance)) best = { word: candidate, distance: away };
  }
  return best?.word;
}
