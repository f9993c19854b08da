import type { Input } from "./terminal.ts";
import { CliError } from "./failure.ts";

/** Far more than any password or list of images has. */
const INPUT_BYTES_MAX = 16 * 1024 * 1024;

/** What is read from standard input. */
export function standardInput(stdin: NodeJS.ReadStream): Omit<Input, "isTerminal"> {
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
    askSecret: async (question) => {
      const { isCancel, password } = await import("@clack/prompts");
      const answer = await password({ message: question });
      if (isCancel(answer)) throw new CliError("given up; nothing was changed");
      return answer;
    },
  };
}
