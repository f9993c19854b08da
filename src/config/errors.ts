import { printable } from "../lib/printable.ts";

/** One thing that is wrong with the configuration, said so that it can be put right. */
export interface Problem {
  /** As the user named it; undefined for the process's environment. */
  readonly file: string | undefined;
  /** From 1; undefined where no single line is to blame. */
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** `registries.dockerhub.username`, or the environment variable; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** More than that nobody reads at once. */
const PROBLEMS_SHOWN_MAX = 50;

/** The configuration cannot be used. Nothing in it quotes a secret. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const sorted = problems.toSorted(byPlace);
    super(sorted.map(describe).join("\n"));
    this.problems = sorted;
  }

  /** All problems for people: an `error:` line for each, with its `hint:` line below; no newline at the end. */
  render(): string {
    const lines = this.problems.slice(0, PROBLEMS_SHOWN_MAX).map((problem) => {
      const hint = problem.hint === undefined ? "" : `\nhint: ${printable(problem.hint)}`;
      return `error: ${describe(problem)}${hint}`;
    });
    const left = this.problems.length - lines.length;
    if (left > 0) lines.push(`error: ${left} further problems are not shown`);
    return lines.join("\n");
  }
}

/** `registry-cache.yaml:12: registries.dockerhub.usrname: unknown key`. */
function describe({ file, line, path, message }: Problem): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return printable([place, path, message].filter((part) => part !== undefined && part !== "").join(": "));
}

/** File by file and in the order of its lines; what has no file or no line comes first. */
function byPlace(a: Problem, b: Problem): number {
  const [fileOfA, fileOfB] = [a.file ?? "", b.file ?? ""];
  if (fileOfA !== fileOfB) return fileOfA < fileOfB ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
