import type { CandidateName } from "./candidates/candidate.ts";
import { InterruptedError } from "./lib/processes.ts";
import type { Bench } from "./bench.ts";
import type { Figures, Row } from "./rows/row.ts";

/** The figures of one row: by candidate, one entry a round, undefined where it failed. */
export interface Measured {
  readonly row: Row;
  readonly figures: ReadonlyMap<CandidateName, readonly (Figures | undefined)[]>;
  /** What went wrong, once each. */
  readonly failures: ReadonlyMap<CandidateName, string>;
}

interface Notes {
  readonly figures: Map<CandidateName, (Figures | undefined)[]>;
  readonly failures: Map<CandidateName, string>;
}

/**
 * Measures all rows in every round, the candidates one after the other and another one first each time: what the machine does
 * beside it hits all of them.
 */
export async function runRounds(
  bench: Bench,
  rows: readonly Row[],
  present: ReadonlySet<CandidateName>,
  rounds: number,
  say: (text: string) => void,
): Promise<Measured[]> {
  const notes = new Map<Row, Notes>(rows.map((row) => [row, { figures: new Map(), failures: new Map() }]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [row, noted] of notes) {
      if (row.once === true && round > 0) continue;
      const candidates = rotated(
        row.candidates.filter((name) => present.has(name)),
        round,
      );
      for (const name of candidates) await measureOne(bench, row, name, noted, { round, say });
    }
  }
  return [...notes].map(([row, noted]) => ({ row, ...noted }));
}

async function measureOne(
  bench: Bench,
  row: Row,
  name: CandidateName,
  { figures, failures }: Notes,
  { round, say }: { round: number; say: (text: string) => void },
): Promise<void> {
  const list = figures.get(name) ?? [];
  figures.set(name, list);
  try {
    const found = await bench.measure(row, name);
    list.push(found);
    say(`round ${round + 1}: ${row.name}: ${name}: ${JSON.stringify(found)}`);
  } catch (error) {
    if (error instanceof InterruptedError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    list.push(undefined);
    failures.set(name, reason);
    say(`round ${round + 1}: ${row.name}: ${name}: FAILED: ${reason}`);
  }
}

/** The same order, begun at another place. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
