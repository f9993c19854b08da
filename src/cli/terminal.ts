import type { Asker } from "../wizard/asker.ts";

/** What a command sees of the outside. */
export interface Terminal {
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly input: Input;
  readonly out: Output;
  readonly err: Output;
}

export interface Input {
  /** Whether there is somebody to ask. */
  readonly isTerminal: boolean;
  /** All of it, up to its end. */
  readonly readAll: () => Promise<string>;
  /** Without showing what is typed. */
  readonly askSecret: (question: string) => Promise<string>;
  /** Yes or no; Enter is yes. */
  readonly confirm: (question: string) => Promise<boolean>;
  /** For a whole conversation. */
  readonly asker: () => Promise<Asker>;
}

export interface Output {
  readonly write: (text: string) => void;
  /** Whether people read it as it is written. */
  readonly isTerminal: boolean;
  /** Whether it is a terminal that shows colours, and they are wanted. */
  readonly hasColors: boolean;
  /** A terminal's width as it is now; undefined where nobody knows. */
  readonly columns?: () => number | undefined;
  /** And its height. */
  readonly rows?: () => number | undefined;
}

/** 0: done; 1: it could not be done; 2: the command line or the configuration is wrong; 130: somebody gave up, as by Ctrl+C. */
export type ExitCode = 0 | 1 | 2 | 130;

/** How a command is bound to the command line: what it runs with, and where its exit code goes. */
export interface Invocation {
  readonly terminal: Terminal;
  readonly exit: (code: ExitCode) => void;
}
