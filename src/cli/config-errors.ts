import { ValueError } from "../lib/value-error.ts";
import { GivenUp } from "../wizard/asker.ts";
import { CliError } from "./failure.ts";

/** What can go wrong with a configuration that is made, in the form in which all commands tell it. */
export async function explainedConfig<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw await explanationOf(error);
  }
}

async function explanationOf(error: unknown): Promise<unknown> {
  const { EditError } = await import("../wizard/yaml-editor.ts");
  const { ChangedMeanwhileError } = await import("../wizard/files.ts");
  const { AuthorityError } = await import("../certificates/own-authority.ts");
  if (error instanceof ValueError) return new CliError(error.message, { hint: error.hint, exitCode: 2, cause: error });
  if (error instanceof GivenUp) return new CliError(error.message, { exitCode: 130, cause: error });
  if (error instanceof EditError) {
    const hint = "change it by hand, or make another one with --config FILE";
    return new CliError(`nothing was written: ${error.message}`, { hint, cause: error });
  }
  if (error instanceof ChangedMeanwhileError) {
    return new CliError(`${error.message}; nothing was written`, { hint: "run it again", cause: error });
  }
  if (error instanceof AuthorityError) {
    const hint = "registry-cache certificate init --force makes another authority";
    return new CliError(`nothing was written: the authority in certificates: ${error.message}`, { hint, cause: error });
  }
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new CliError(`${path ?? "a file"} cannot be written or read (${code})`, {
    hint: "what was written before it was taken back; run it again once that is mended",
    cause: error,
  });
}
