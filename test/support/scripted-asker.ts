import { type Asker, GivenUp } from "../../src/wizard/asker.ts";

/** What somebody answers to a question that a pattern fits; a list for one that is asked several times. Undefined gives up. */
export type Script = readonly (readonly [question: RegExp, answer: unknown])[];

export interface ScriptedAsker extends Asker {
  /** All that was asked and said, a line each. */
  readonly heard: readonly string[];
  /** Answers that nobody asked for. */
  readonly unused: readonly string[];
}

/** Somebody who answers by a script, and presses Enter at everything else. Checks what a terminal would check. */
export function scriptedAsker(script: Script = []): ScriptedAsker {
  const heard: string[] = [];
  const left = [...script];
  const answer = <T>(question: string, byDefault: T): T => {
    heard.push(question);
    const at = left.findIndex(([pattern]) => pattern.test(question));
    const [entry] = at === -1 ? [] : left.splice(at, 1);
    if (entry === undefined) return byDefault;
    if (entry[1] === undefined) throw new GivenUp();
    return entry[1] as T;
  };
  const assertOffered = (
    choices: readonly { value: string; not?: string | undefined }[],
    values: readonly string[],
  ) => {
    for (const value of values) {
      const found = choices.find((choice) => choice.value === value);
      if (found === undefined || found.not !== undefined)
        throw new Error(`${value} cannot be chosen: ${found?.not ?? "no such"}`);
    }
  };
  const assertGood = (text: string, check?: (text: string) => string | undefined) => {
    const wrong = text === "" ? undefined : check?.(text);
    if (wrong !== undefined) throw new Error(`${JSON.stringify(text)} ${wrong}`);
    return text;
  };
  return {
    heard,
    get unused() {
      return left.map(([pattern]) => String(pattern));
    },
    select: async (question, choices, byDefault) => {
      const chosen = answer(question, byDefault);
      assertOffered(choices, [chosen]);
      return chosen;
    },
    choose: async (question, choices, byDefault) => {
      const chosen = answer(question, [...byDefault]);
      assertOffered(choices, chosen);
      return chosen;
    },
    text: async (question, { byDefault = "", check } = {}) =>
      assertGood(answer(question, byDefault) || byDefault, check),
    secret: async (question, check) => assertGood(answer(question, ""), check),
    confirm: async (question, byDefault) => answer(question, byDefault),
    begin: (title) => void heard.push(title),
    end: (text) => void heard.push(text),
    say: (what, text) => void heard.push(`${what}: ${text}`),
    show: (title, text) => void heard.push(`${title}:\n${text}`),
    during: async (text, work) => {
      heard.push(`${text} ...`);
      return await work(new AbortController().signal);
    },
  };
}
