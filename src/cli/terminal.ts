/** What a command sees of the outside. */
export interface Terminal {
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whether the streams are terminals that show colours. */
  readonly outHasColors: boolean;
  readonly errHasColors: boolean;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** 0: done; 1: it could not be done; 2: the command line or the configuration is wrong. */
export type ExitCode = 0 | 1 | 2;

/** How a command is bound to the command line: what it runs with, and where its exit code goes. */
export interface Invocation {
  readonly terminal: Terminal;
  readonly exit: (code: ExitCode) => void;
}

/** What may stand before and after a command's name. */
export interface GlobalOptions {
  readonly config?: string;
}
