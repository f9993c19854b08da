import type { ImageAnswer, ImagesAnswer } from "../admin/api/answers.ts";
import { parseDuration, parseSize } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { placeOf, type PlaceOptions, untilAsked, writeJson } from "./cache-place.ts";
import { askCache } from "./control-client.ts";
import { CliError } from "./failure.ts";
import { listText } from "./ls-text.ts";
import type { ExitCode, Terminal } from "./terminal.ts";

export interface LsOptions extends PlaceOptions {
  readonly registry?: string;
  readonly repository?: string;
  readonly tag?: string;
  readonly unused?: string;
  readonly larger?: string;
  readonly sort: "name" | "size" | "pulled" | "lastPulled" | "pulls";
  readonly reverse?: boolean;
  readonly limit: number;
  readonly json?: boolean;
}

/** What the API gives in one answer at most. */
const PAGE = 100;

/** What `registry-cache ls` does. */
export async function ls(terminal: Terminal, text: string | undefined, options: LsOptions): Promise<ExitCode> {
  const nowMs = Date.now();
  const filters = filtersOf(text, options, nowMs);
  const place = await placeOf(terminal, options);
  const signal = untilAsked(terminal);
  const images: ImageAnswer[] = [];
  let after: string | undefined;
  do {
    const limit = String(Math.min(PAGE, options.limit - images.length));
    const query = new URLSearchParams({ ...filters, limit, ...(after === undefined ? {} : { after }) });
    const question = { method: "GET", path: `/api/v1/images?${query.toString()}`, signal } as const;
    const page = (await askCache(place, question)) as ImagesAnswer;
    images.push(...page.images);
    after = page.next;
  } while (after !== undefined && images.length < options.limit);
  const hasMore = after !== undefined;
  const isAll = Object.keys(filters).every((name) => name === "sort" || name === "reverse");
  if (options.json === true) writeJson(terminal, { images, hasMore });
  else terminal.out.write(listText({ images, hasMore, isAll, nowMs, width: widthOf(terminal) }));
  return 0;
}

function filtersOf(text: string | undefined, options: LsOptions, nowMs: number): Record<string, string> {
  const { registry, repository, tag, unused, larger, sort, reverse } = options;
  const notPulledSince =
    unused === undefined
      ? undefined
      : new Date(nowMs - understood("--unused", () => parseDuration(unused))).toISOString();
  const largerThan = larger === undefined ? undefined : String(understood("--larger", () => parseSize(larger)));
  const all = {
    text,
    registry,
    repository,
    tag,
    notPulledSince,
    largerThan,
    sort: sort === "pulled" ? "lastPulled" : sort,
    reverse: reverse === true ? "true" : undefined,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function understood<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new CliError(`${option}: ${error.message}`, { hint: error.hint, exitCode: 2, cause: error });
  }
}

/** Lines are cut for people only. */
export function widthOf({ out }: Terminal): number | undefined {
  return out.isTerminal ? out.columns?.() : undefined;
}
