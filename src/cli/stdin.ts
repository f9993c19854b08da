import type { Readable, Writable } from "node:stream";
import type { Input } from "./terminal.ts";
import { CliError } from "./failure.ts";

/** Far more than any password or list of images has. */
const INPUT_BYTES_MAX = 16 * 1024 * 1024;

/** What a terminal sends for Ctrl+D. */
const END_OF_INPUT = "\x04";

/** What is read from standard input; what is asked for appears on `screen`. */
export function standardInput(stdin: Readable, screen: Writable = process.stdout): Omit<Input, "isTerminal" | "asker"> {
  return {
    readAll: async () => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      for await (const piece of stdin as AsyncIterable<Buffer>) {
        bytes += piece.length;
        if (bytes > INPUT_BYTES_MAX) throw new CliError(`standard input has more than ${INPUT_BYTES_MAX} bytes`);
        pieces.push(piece);
      }
      return Buffer.concat(pieces).toString("utf8");
    },
    confirm: async (question) => {
      const { confirm, isCancel } = await import("@clack/prompts");
      const answer = await confirm({ message: question, input: stdin, output: screen });
      return !isCancel(answer) && answer;
    },
    askSecret: async (question) => {
      const { isCancel, password, updateSettings } = await import("@clack/prompts");
      // Else it waits for ever for what does not come any more, until Node.js gives up on that.
      updateSettings({ aliases: { [END_OF_INPUT]: "cancel" } });
      const answer = await password({ message: question, input: stdin, output: screen });
      if (isCancel(answer)) throw new CliError("given up; nothing was changed");
      return answer;
    },
  };
}
