import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

import type { HasAfter } from "../../support/temp.ts";
import { toolPath } from "./tools.ts";

const run = promisify(execFile);

const COLUMNS = 80;
const ROWS = 24;
/** Between two looks at the screen, and how long something may take to appear on a busy machine, milliseconds. */
const LOOK_MS = 40;
const APPEARS_MAX_MS = 60_000;
/** What begins the question that is being asked, or asked once more. */
const ACTIVE = /^[◆▲] {2}/;
const MARK_LENGTH = 3;

export interface ScreenOptions {
  readonly cwd: string;
  /** All that the program sees of the environment, besides the terminal's. */
  readonly environment: Readonly<Record<string, string>>;
  /** What stands in the text is replaced in what is kept, each by something of the same length. */
  readonly hidden?: readonly (readonly [found: RegExp | string, shown: string])[];
}

/** A program in a real terminal of 80 by 24, whose screens are kept as text. */
export class Screen {
  readonly #socket: string;
  readonly #hidden: NonNullable<ScreenOptions["hidden"]>;
  #kept = "";
  /** The one that was asked last. */
  #question = "";

  private constructor(socket: string, hidden: NonNullable<ScreenOptions["hidden"]>) {
    this.#socket = socket;
    this.#hidden = hidden;
  }

  static async start(t: HasAfter, command: readonly string[], options: ScreenOptions): Promise<Screen> {
    const folder = await mkdtemp(path.join(tmpdir(), "rc-tmux-"));
    const screen = new Screen(path.join(folder, "socket"), options.hidden ?? []);
    t.after(async () => {
      await screen.#tmux("kill-server").catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    });
    const variables = Object.entries(options.environment).map(([name, value]) => `${name}=${value}`);
    const program = ["env", "-i", "TERM=screen", "LANG=C.UTF-8", ...variables, ...command].map(quoted).join(" ");
    // What remains on the screen can be looked at after the end; the exit code is the last that is said.
    // Ctrl+C is for the program, and not for this shell.
    const line = `trap : INT; ${program}; echo "exit code $?"; exec sleep 3600`;
    const size = ["-x", String(COLUMNS), "-y", String(ROWS)];
    await screen.#tmux("-f", "/dev/null", "-u", "new-session", "-d", ...size, "-c", options.cwd, "sh", "-c", line);
    return screen;
  }

  /** Waits for a question, and keeps what has appeared on the screen since the one before. */
  async asks(question: string | RegExp): Promise<void> {
    const text = await this.#until((shown) => {
      const active = activeBlock(shown);
      const first = active?.split("\n").slice(0, 2).join(" ") ?? "";
      const isIt = typeof question === "string" ? first.includes(question) : question.test(active ?? "");
      return isIt && /^└/m.test(active ?? "") ? shown : undefined;
    }, String(question));
    this.#keep(this.#sinceQuestion(text));
    this.#question = activeBlock(text)?.split("\n", 1)[0]?.replace(ACTIVE, "") ?? "";
  }

  /** Keys by tmux's names: `Enter`, `Down`, `Space`, `C-c`. */
  async press(...keys: readonly string[]): Promise<void> {
    this.#kept += `>>> ${keys.join(" ")}\n\n`;
    await this.#tmux("send-keys", ...keys);
  }

  /** `shown` stands for it in what is kept. */
  async type(text: string, shown = text): Promise<void> {
    this.#kept += `>>> ${shown}\n`;
    await this.#tmux("send-keys", "-l", text);
    await this.press("Enter");
  }

  /** Waits for the end, and keeps what was said since the last question; resolves with the exit code. */
  async ended(): Promise<number> {
    const all = await this.#until(async () => {
      const text = await this.#captured("-S", "-");
      return /^exit code \d+$/m.test(text) ? text : undefined;
    }, "the end");
    this.#keep(this.#sinceQuestion(all));
    return Number(/^exit code (\d+)$/m.exec(all)?.[1]);
  }

  /** Waits until something is said. */
  async says(text: string): Promise<void> {
    await this.#until(async () => ((await this.#captured("-S", "-")).includes(text) ? "" : undefined), text);
  }

  /** All screens so far, with the keys in between. */
  get kept(): string {
    return this.#kept;
  }

  /** Without the question before, where that can still be seen. */
  #sinceQuestion(text: string): string {
    const lines = text.trimEnd().split("\n");
    const at = lines.findLastIndex((line) => this.#question !== "" && line.slice(MARK_LENGTH) === this.#question);
    return lines.slice(at + 1).join("\n");
  }

  #keep(screen: string): void {
    const text = this.#hidden.reduce((shown, [found, by]) => shown.replaceAll(found, by), screen);
    this.#kept += `${text.replaceAll(/[^\S\n]+$/gm, "").trimEnd()}\n`;
  }

  async #until<T>(look: (text: string) => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
    for (const lastMs = Date.now() + APPEARS_MAX_MS; ; await delay(LOOK_MS)) {
      const text = await this.#captured();
      const found = await look(text);
      if (found !== undefined) return found;
      if (Date.now() > lastMs) throw new Error(`never appeared: ${what}\n${text}`);
    }
  }

  async #captured(...options: readonly string[]): Promise<string> {
    return await this.#tmux("capture-pane", "-p", ...options);
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(toolPath("tmux"), ["-S", this.#socket, ...args]);
    return stdout;
  }
}

/** The question that waits for an answer, with all below it. */
function activeBlock(text: string): string | undefined {
  const lines = text.trimEnd().split("\n");
  const at = lines.findLastIndex((line) => ACTIVE.test(line));
  return at === -1 ? undefined : lines.slice(at).join("\n");
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
