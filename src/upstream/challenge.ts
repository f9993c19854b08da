/** One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** What is read of one header, characters, and how many challenges of all headers together. */
export const CHALLENGE_LENGTH_MAX = 8192;
export const CHALLENGES_MAX = 16;

const SPACE = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)(?:"|\\?$)/sy;
/** gcr.io and others send URLs without quotes, so everything up to the next comma or space counts. */
const UNQUOTED = /[^\s,]*/y;

/**
 * Reads all challenges of all given header values. Tolerant by design, since registries are careless here: several
 * challenges in one header or in several, unquoted values, stray commas, unfinished quotes; what makes no sense is
 * skipped. Never throws.
 */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers.flatMap((header) => parseHeader(header.slice(0, CHALLENGE_LENGTH_MAX))).slice(0, CHALLENGES_MAX);
}

function parseHeader(text: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const scanner = new Scanner(text);
  while (!scanner.atEnd) {
    scanner.take(SEPARATORS);
    const word = scanner.take(TOKEN)?.toLowerCase();
    if (word === undefined) {
      // Something that no challenge may hold here (a stray quote or `=`): on with the next part.
      if (scanner.take(UNQUOTED) === "") scanner.skipOne();
      continue;
    }
    // `name = value` belongs to the scheme before; a word that no `=` follows is the next scheme.
    if (scanner.take(EQUALS) === undefined) {
      challenges.push({ scheme: word, parameters: new Map() });
      scanner.take(SPACE);
    } else {
      const value = scanner.takeValue();
      const parameters = challenges.at(-1)?.parameters;
      if (parameters !== undefined && !parameters.has(word)) parameters.set(word, value);
    }
  }
  return challenges;
}

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  take(pattern: RegExp): string | undefined {
    return this.#match(pattern)?.[0];
  }

  skipOne(): void {
    this.#at += 1;
  }

  takeValue(): string {
    const quoted = this.#match(QUOTED)?.[1];
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
    return this.take(UNQUOTED) ?? "";
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }
}

/** How a registry wants to be convinced. */
export type Demand =
  | { readonly kind: "basic" }
  | {
      readonly kind: "bearer";
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
    };

/**
 * Bearer goes before Basic wherever both stand, and Basic needs credentials: codeberg.org offers both to everybody, and
 * an anonymous client that picks Basic fails (gitea#37289). Undefined where no challenge can be met.
 */
export function chooseChallenge(challenges: readonly Challenge[], hasCredentials: boolean): Demand | undefined {
  for (const { scheme, parameters } of challenges) {
    const realm = parameters.get("realm");
    if (scheme !== "bearer" || realm === undefined || realm === "") continue;
    return { kind: "bearer", realm, service: parameters.get("service"), scope: parameters.get("scope") };
  }
  const basic = hasCredentials && challenges.some(({ scheme }) => scheme === "basic");
  return basic ? { kind: "basic" } : undefined;
}
