import type { Readable, Writable } from "node:stream";
import { type Asker, type Choice, GivenUp } from "../wizard/asker.ts";

/** What a terminal sends for Ctrl+D. */
const END_OF_INPUT = "\x04";

/** Questions on a terminal. */
export async function promptsOn(input: Readable, output: Writable): Promise<Asker> {
  const clack = await import("@clack/prompts");
  // Else it waits for ever for what does not come any more, until Node.js gives up on that.
  clack.updateSettings({ aliases: { [END_OF_INPUT]: "cancel" } });
  const common = { input, output };
  const answered = async <T>(answer: Promise<T | symbol>): Promise<T> => {
    const value = await answer;
    if (clack.isCancel(value)) throw new GivenUp();
    return value as T;
  };
  return {
    select: async (message, choices, byDefault) => {
      const options = optionsOf(choices);
      return (await answered(
        clack.select<string>({ ...common, message, options, initialValue: byDefault }),
      )) as typeof byDefault;
    },
    choose: async (message, choices, byDefault) => {
      const options = optionsOf(choices);
      const its = { ...common, message, options, initialValues: [...byDefault], required: false };
      return (await answered(clack.multiselect<string>(its))) as (typeof byDefault)[number][];
    },
    text: async (message, { byDefault, isEdited = false, check } = {}) => {
      const offered = offer(byDefault, isEdited);
      const validate = (typed: string | undefined) => checked(typed, check);
      const answer = await answered(clack.text({ ...common, message, ...offered, validate }));
      return (answer as string | undefined)?.trim() || (byDefault ?? "");
    },
    secret: async (message, check) => {
      const validate = (typed: string | undefined) => checked(typed, check);
      return ((await answered(clack.password({ ...common, message, validate }))) as string | undefined) ?? "";
    },
    confirm: async (message, byDefault) =>
      await answered<boolean>(clack.confirm({ ...common, message, initialValue: byDefault })),
    begin: (title) => clack.intro(title, { output }),
    end: (text) => clack.outro(text, { output }),
    say: (what, text) => {
      const { success, warn, step } = clack.log;
      ({ done: success, warning: warn, step })[what](text, { output });
    },
    show: (title, text) => clack.note(text, title, { output }),
    during: async (text, work) => {
      clack.log.step(`${text} ...`, { output });
      return await unlessInterrupted(work);
    },
  };
}

/** Between questions Ctrl+C is a signal, and no key. */
async function unlessInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const onSignal = () => interrupted.abort();
  process.once("SIGINT", onSignal);
  try {
    const result = await work(interrupted.signal);
    if (interrupted.signal.aborted) throw new GivenUp();
    return result;
  } finally {
    process.off("SIGINT", onSignal);
  }
}

function offer(byDefault: string | undefined, isEdited: boolean) {
  if (byDefault === undefined) return {};
  return isEdited ? { initialValue: byDefault } : { placeholder: byDefault, defaultValue: byDefault };
}

function checked(typed: string | undefined, check: ((text: string) => string | undefined) | undefined) {
  const text = typed?.trim() ?? "";
  return text === "" ? undefined : check?.(text);
}

function optionsOf(choices: readonly Choice<string>[]) {
  return choices.map(({ value, label, hint, not }) => {
    const told = not ?? hint;
    return { value, label, ...(told === undefined ? {} : { hint: told }), disabled: not !== undefined };
  });
}
