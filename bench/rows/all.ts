import { HELD_ROWS } from "./held.ts";
import type { Row } from "./row.ts";

/** In the order in which they are measured and shown. */
export const ALL_ROWS: readonly Row[] = [...HELD_ROWS];
