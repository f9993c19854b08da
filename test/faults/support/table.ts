import { cpus, release, totalmem, type as systemType } from "node:os";
import { HOLDS_MARK, SHOWN_MARK } from "./fault.ts";

const GIB = 1024 ** 3;

/** What the table takes of node:test's events. */
export interface RowEvent {
  readonly type: string;
  readonly data: object;
}

interface Row {
  readonly fault: string;
  readonly isPassed: boolean;
  holds: string;
  readonly shown: string[];
}

/** Collects the rows: node:test reports what a test said right after how it ended. */
export class Table {
  readonly #rows: Row[] = [];
  readonly #lastOfFile = new Map<string, Row>();

  /** Whether all rows held, and there are any. */
  get isPassed(): boolean {
    return this.#rows.length > 0 && this.#rows.every((row) => row.isPassed);
  }

  take({ type, data }: RowEvent): void {
    const { name, file = "", message } = data as { name?: string; file?: string; message?: string };
    if ((type === "test:pass" || type === "test:fail") && name !== undefined) {
      const row = { fault: name, isPassed: type === "test:pass", holds: "", shown: [] };
      this.#rows.push(row);
      this.#lastOfFile.set(file, row);
    }
    if (type === "test:diagnostic" && message !== undefined) this.#note(this.#lastOfFile.get(file), message);
  }

  #note(row: Row | undefined, message: string): void {
    if (row === undefined) return;
    if (message.startsWith(HOLDS_MARK)) row.holds = message.slice(HOLDS_MARK.length);
    if (message.startsWith(SHOWN_MARK)) row.shown.push(message.slice(SHOWN_MARK.length));
  }

  /** Markdown. */
  text(now: Date): string {
    const rows = this.#rows.map(({ fault, holds, shown, isPassed }) =>
      line([fault, holds, shown.join("; "), isPassed ? "held" : "**FAILED**"]),
    );
    return [
      "# Faults",
      "",
      "Written by `make faults`; each row is a test of that name in `test/faults/`.",
      "",
      `${now.toISOString().slice(0, 10)}, ${machine()}.`,
      "",
      line(["fault", "what must hold", "how it was shown", "result"]),
      line(["---", "---", "---", "---"]),
      ...rows,
      "",
    ].join("\n");
  }
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

/** What the figures depend on. */
function machine(): string {
  const [first] = cpus();
  const memory = `${Math.round(totalmem() / GIB)} GiB`;
  return `${cpus().length} cores (${first?.model ?? "unknown"}), ${memory}, ${systemType()} ${kernel()}, Node.js ${process.versions.node}`;
}

/** Without the build's own suffix: it says nothing to anybody else. */
function kernel(): string {
  return /^\d+\.\d+/.exec(release())?.[0] ?? release();
}
