/** One link of a Link header (RFC 8288). */
export interface Link {
  /** As it stands between the angle brackets, not resolved. */
  readonly target: string;
  /** Names in lower case; where one comes twice the first counts (RFC 8288, section 3). */
  readonly params: ReadonlyMap<string, string>;
}

/** A longer header is not read at all. Node takes no more than this for all headers together. */
export const LINK_HEADER_LENGTH_MAX = 16 * 1024;
/** Further links of one header are left out. */
export const LINKS_MAX = 64;
/** Further parameters of one link are left out. */
export const LINK_PARAMS_MAX = 32;

/**
 * Reads a Link header in the way of RFC 8288, appendix B.2, never throwing: of what is malformed, it takes as much as is
 * clear, and goes on after the next comma.
 */
export function parseLinks(header: string): Link[] {
  if (header.length > LINK_HEADER_LENGTH_MAX) return [];
  const scanner = new Scanner(header);
  const links: Link[] = [];
  while (!scanner.done && links.length < LINKS_MAX) {
    const target = readTarget(scanner);
    if (target !== undefined) links.push({ target, params: readParams(scanner) });
    skipToNext(scanner);
  }
  return links;
}

/**
 * The target of the first `rel="next"`, not resolved, or undefined. Links with an `anchor` are about another resource
 * than the one that was asked for.
 */
export function nextLink(header: string | readonly string[] | undefined): string | undefined {
  const headers = typeof header === "string" ? [header] : (header ?? []);
  const isNext = ({ params }: Link) => !params.has("anchor") && relations(params.get("rel") ?? "").includes("next");
  return headers.flatMap(parseLinks).find(isNext)?.target;
}

/** Relation types are separated by spaces and compared without case (RFC 8288, section 3.3). */
function relations(rel: string): string[] {
  return rel.toLowerCase().split(/[ \t]+/);
}

/** A position in a text that only moves on, so that every loop over it ends. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Moves over `character` if it is next. */
  take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  /** Moves over one character, whichever. */
  next(): string {
    const character = this.#text[this.#at] ?? "";
    this.#at += 1;
    return character;
  }

  /** Moves up to the first character that `stops` names, and returns what lies before. */
  upTo(stops: string): string {
    const start = this.#at;
    while (!this.done && !stops.includes(this.#text[this.#at] ?? "")) this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  blanks(): void {
    while (this.take(" ") || this.take("\t"));
  }
}

function readTarget(scanner: Scanner): string | undefined {
  scanner.blanks();
  if (!scanner.take("<")) return undefined;
  const target = scanner.upTo(">");
  return scanner.take(">") ? target : undefined;
}

function readParams(scanner: Scanner): Map<string, string> {
  const params = new Map<string, string>();
  while (startsParam(scanner)) {
    const name = trimEnd(scanner.upTo("=;,")).toLowerCase();
    const value = scanner.take("=") ? readValue(scanner) : "";
    if (name !== "" && !params.has(name) && params.size < LINK_PARAMS_MAX) params.set(name, value);
  }
  return params;
}

function startsParam(scanner: Scanner): boolean {
  // Whatever stands between a closed value and the next separator means nothing.
  scanner.upTo(";,");
  if (!scanner.take(";")) return false;
  scanner.blanks();
  return true;
}

function readValue(scanner: Scanner): string {
  scanner.blanks();
  return scanner.take('"') ? readQuoted(scanner) : trimEnd(scanner.upTo(";,"));
}

/** The rest of a quoted string; one that is never closed ends with the header. */
function readQuoted(scanner: Scanner): string {
  let value = "";
  while (!scanner.done) {
    value += scanner.upTo('"\\');
    if (scanner.take('"')) break;
    if (scanner.take("\\")) value += scanner.next();
  }
  return value;
}

/** Over the comma that ends a link; commas in quoted strings of a malformed link do not. */
function skipToNext(scanner: Scanner): void {
  while (!scanner.done) {
    scanner.upTo(',"');
    if (scanner.take(",")) return;
    if (scanner.take('"')) readQuoted(scanner);
  }
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end -= 1;
  return text.slice(0, end);
}
