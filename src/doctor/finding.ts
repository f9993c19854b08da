/** `skipped`: nobody could look, or was meant to. */
export type Level = "ok" | "warning" | "problem" | "skipped";

/** One thing that was looked at. */
export interface Finding {
  readonly level: Level;
  /** What was found, on one line. */
  readonly message: string;
  /** What to do, on one line; always there with a warning or a problem. */
  readonly fix?: string;
}

/** A part of the whole that is looked at by itself. */
export interface Check {
  readonly title: string;
  /** The signal ends when nobody waits any longer. */
  readonly look: (signal: AbortSignal) => Promise<readonly Finding[]>;
}

export interface Area {
  readonly title: string;
  readonly findings: readonly Finding[];
}

export function ok(message: string): Finding {
  return { level: "ok", message };
}

export function warning(message: string, fix: string): Finding {
  return { level: "warning", message, fix };
}

export function problem(message: string, fix: string): Finding {
  return { level: "problem", message, fix };
}

export function skipped(message: string): Finding {
  return { level: "skipped", message };
}

export function countOf(areas: readonly Area[], level: Level): number {
  return areas.flatMap(({ findings }) => findings).filter((one) => one.level === level).length;
}
