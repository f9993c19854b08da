import { randomInt } from "node:crypto";

/** Numbers that look random and are the same for the same seed, so that a failure can be run again. */
export interface Random {
  readonly seed: number;
  /** An integer in [0, below). */
  below(below: number): number;
  pick<T>(among: readonly T[]): T;
  /** A generator of its own, for what runs beside others: it draws the same numbers whatever those do. */
  branch(): Random;
}

const SEED_MAX = 2 ** 31;

/** From FAULTS_SEED where it is given, else a new one. */
export function seedOfRun(): number {
  const given = process.env["FAULTS_SEED"];
  return given === undefined || given === "" ? randomInt(SEED_MAX) : Number(given);
}

/** Mulberry32: 32 bits of state, more than enough to choose what to break. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    seed,
    below,
    pick: (among) => {
      if (among.length === 0) throw new Error("nothing to pick from");
      return among[below(among.length)] as (typeof among)[number];
    },
    branch: () => randomFrom(below(SEED_MAX)),
  };
}
