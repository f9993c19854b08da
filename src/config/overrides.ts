import { ValueError } from "../lib/value-error.ts";
import type { Listen } from "./config.ts";
import { SETTING_VARIABLES, type Variables, variableProblem } from "./environment.ts";
import type { Problem } from "./errors.ts";
import { LOG_FORMATS, LOG_LEVELS, type TopInput } from "./schema.ts";
import { readListen, readOneOf, readPath } from "./values.ts";
import { readWorkersText } from "./workers.ts";

/** Settings of the environment, which stand above the file's. Several addresses are separated by commas. */
export function readOverrides(variables: Variables, fromFile: TopInput, problems: Problem[]): TopInput {
  const read = <T>(name: string, parse: (text: string) => T): T | undefined => {
    const variable = variables.get(name);
    if (variable === undefined) return undefined;
    try {
      return parse(variable.value);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      problems.push(variableProblem(variable, error.message, error.hint));
      return undefined;
    }
  };
  const listen = read(SETTING_VARIABLES.listen, (text) => {
    assertReplaceable(fromFile.listen ?? []);
    return text.split(",").map((one) => ({ ...readListen(one.trim()), methods: undefined, tls: true }));
  });
  const dataDir = read(SETTING_VARIABLES.dataDir, (text) => readPath(text, "./data"));
  const workers = read(SETTING_VARIABLES.workers, readWorkersText);
  const format = read(SETTING_VARIABLES.logFormat, (text) => readOneOf(text, LOG_FORMATS));
  const level = read(SETTING_VARIABLES.logLevel, (text) => readOneOf(text, LOG_LEVELS));
  return {
    ...fromFile,
    listen: listen ?? fromFile.listen,
    data_dir: dataDir ?? fromFile.data_dir,
    workers: workers ?? fromFile.workers,
    log: { format: format ?? fromFile.log?.format, level: level ?? fromFile.log?.level },
  };
}

/** By the environment alone an address of users would become one where all of `access` counts. */
function assertReplaceable(listen: readonly Listen[]): void {
  if (listen.every(({ methods, tls }) => methods === undefined && tls)) return;
  const message = "would replace addresses of the file that have `access` or `tls` of their own";
  throw new ValueError(message, "change `listen` in the file instead");
}
