import { ALL_CORES_ROWS } from "./all-cores.ts";
import { BIG_STORE_ROWS } from "./big-store.ts";
import { COLD_ROWS } from "./cold.ts";
import { HELD_ROWS } from "./held.ts";
import { MEMORY_ROWS } from "./memory.ts";
import type { Row } from "./row.ts";

/** In the order in which they are measured and shown. */
export const ALL_ROWS: readonly Row[] = [
  ...HELD_ROWS,
  ...ALL_CORES_ROWS,
  ...COLD_ROWS,
  ...MEMORY_ROWS,
  ...BIG_STORE_ROWS,
];
