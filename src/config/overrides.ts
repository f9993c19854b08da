import { ValueError } from "../lib/value-error.ts";
import { nearest } from "../lib/nearest.ts";
import { shown } from "../lib/units.ts";
import { DEFAULT_REGISTRY } from "./checks.ts";
import type { Listen } from "./config.ts";
import { hostnamesVariable, SETTING_VARIABLES, type Variables, variableProblem } from "./environment.ts";
import type { Problem } from "./errors.ts";
import type { RegistryDraft } from "./registries.ts";
import { LOG_FORMATS, LOG_LEVELS, type TopInput } from "./schema.ts";
import { readHostname, readListen, readNetwork, readOneOf, readPath } from "./values.ts";
import { readWorkersText } from "./workers.ts";

type Read = <T>(name: string, parse: (text: string) => T) => T | undefined;

/** Reads single variables. What is wrong with one goes into `problems`; it then counts as not set. */
function reader(variables: Variables, problems: Problem[]): Read {
  return (name, parse) => {
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
}

/** Several values in a variable are separated by commas. */
function listed<T>(text: string, read: (one: string) => T): T[] {
  return text.split(",").map((one) => read(one.trim()));
}

/** Settings of the environment, which stand above the file's. */
export function readOverrides(variables: Variables, fromFile: TopInput, problems: Problem[]): TopInput {
  const read = reader(variables, problems);
  const listen = read(SETTING_VARIABLES.listen, (text) => {
    assertReplaceable(fromFile.listen ?? []);
    return listed(text, (one) => ({ ...readListen(one), methods: undefined, tls: true }));
  });
  const dataDir = read(SETTING_VARIABLES.dataDir, (text) => readPath(text, "./data"));
  const workers = read(SETTING_VARIABLES.workers, readWorkersText);
  const networks = read(SETTING_VARIABLES.networks, (text) => listed(text, readNetwork));
  const proxies = read(SETTING_VARIABLES.trustedProxies, (text) => listed(text, readNetwork));
  const format = read(SETTING_VARIABLES.logFormat, (text) => readOneOf(text, LOG_FORMATS));
  const level = read(SETTING_VARIABLES.logLevel, (text) => readOneOf(text, LOG_LEVELS));
  return {
    ...fromFile,
    listen: listen ?? fromFile.listen,
    data_dir: dataDir ?? fromFile.data_dir,
    workers: workers ?? fromFile.workers,
    access: networks === undefined ? fromFile.access : { ...fromFile.access, networks },
    trusted_proxies: proxies ?? fromFile.trusted_proxies,
    log: { format: format ?? fromFile.log?.format, level: level ?? fromFile.log?.level },
  };
}

/** By the environment alone an address of users would become one where all of `access` counts. */
function assertReplaceable(listen: readonly Listen[]): void {
  if (listen.every(({ methods, tls }) => methods === undefined && tls)) return;
  const message = "would replace addresses of the file that have `access` or `tls` of their own";
  throw new ValueError(message, "change `listen` in the file instead");
}

/** What the environment says of registries: which ones are on, and their host names. */
export interface ChosenRegistries {
  readonly drafts: readonly RegistryDraft[];
  /** Where the usual default is not among those that were chosen, the first one is. */
  readonly defaultRegistry: string | undefined;
}

export function chooseRegistries(
  variables: Variables,
  drafts: readonly RegistryDraft[],
  problems: Problem[],
): ChosenRegistries {
  const read = reader(variables, problems);
  const ids = drafts.map(({ id }) => id);
  const chosen = read(SETTING_VARIABLES.registries, (text) => listed(text, (one) => readId(one, ids)));
  return {
    drafts: drafts.map((draft) => {
      const hostnames = read(hostnamesVariable(draft.id), (text) => listed(text, readHostname));
      return {
        ...draft,
        isEnabled: chosen === undefined ? draft.isEnabled : chosen.includes(draft.id),
        input: hostnames === undefined ? draft.input : { ...draft.input, hostnames },
      };
    }),
    defaultRegistry: chosen?.includes(DEFAULT_REGISTRY) === false ? chosen[0] : undefined,
  };
}

function readId(text: string, ids: readonly string[]): string {
  if (ids.includes(text)) return text;
  const near = nearest(text, ids);
  const hint = near === undefined ? `the registries here are ${ids.join(", ")}` : `did you mean ${shown(near)}?`;
  throw new ValueError(`there is no registry ${shown(text)}`, hint);
}
