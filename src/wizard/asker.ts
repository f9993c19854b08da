/** Somebody who is asked. Every question has an answer that Enter gives; whoever gives up makes it reject with `GivenUp`. */
export interface Asker {
  /** One of several. */
  select<T extends string>(question: string, choices: readonly Choice<T>[], byDefault: T): Promise<T>;
  /** Any number of several. */
  choose<T extends string>(question: string, choices: readonly Choice<T>[], byDefault: readonly T[]): Promise<T[]>;
  /** Resolves with the default where nothing is typed, and with an empty text where there is none. */
  text(question: string, how?: TextOptions): Promise<string>;
  /** Without showing what is typed, which may be nothing. */
  secret(question: string, check?: Check): Promise<string>;
  confirm(question: string, byDefault: boolean): Promise<boolean>;
  begin(title: string): void;
  end(text: string): void;
  say(what: "done" | "warning" | "step", text: string): void;
  /** A text of several lines, under a title. */
  show(title: string, text: string): void;
  /** Says what is under way; the signal ends it where somebody gives up meanwhile. */
  during<T>(text: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

export interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly hint?: string | undefined;
  /** Why it cannot be taken. */
  readonly not?: string | undefined;
}

/** What is wrong with what was typed, for people; undefined where it is good. */
export type Check = (text: string) => string | undefined;

export interface TextOptions {
  readonly byDefault?: string | undefined;
  /** Whether what is offered can be changed letter by letter, as a list wants it. */
  readonly isEdited?: boolean;
  /** Is not asked about nothing. */
  readonly check?: Check;
}

/** Nothing was changed. */
export class GivenUp extends Error {
  override readonly name = "GivenUp";

  constructor() {
    super("given up; nothing was changed");
  }
}
