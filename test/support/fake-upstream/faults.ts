import { gzipSync } from "node:zlib";
import {
  type Answer,
  type FakeRequest,
  bodyOf,
  page,
  partOf,
  redirect,
  refusal,
  withFlippedByte,
  withMoreBytes,
} from "./answer.ts";
import { takeRange } from "./range.ts";
import type { Fault, RequestMatch } from "./types.ts";

/** Something that happens once so many bytes of the body are out. */
export interface Pause {
  readonly atByte: number;
  readonly what: "cut" | "reset" | "stall" | Promise<void>;
}

export interface Rate {
  readonly bytesPerSecond: number;
  readonly pieceBytes: number;
}

/** An answer, and how it goes out. */
export interface Plan {
  readonly answer: Answer;
  /** `fit`: the size of the body; undefined: none, chunked. */
  readonly contentLength: "fit" | number | undefined;
  readonly pauses: readonly Pause[];
  readonly rate: Rate | undefined;
  /** In place of the answer. */
  readonly instead:
    | "hang"
    | "drop"
    | Extract<Fault, { kind: "endlessHeaders" }>
    | Extract<Fault, { kind: "answer" }>["handler"]
    | undefined;
}

export function planOf(answer: Answer, rate: Rate | undefined): Plan {
  return { answer, contentLength: "fit", pauses: [], rate, instead: undefined };
}

export function matches(
  match: RequestMatch,
  request: Pick<FakeRequest, "role" | "method" | "path" | "headers">,
): boolean {
  const { role, method, path, authorized, ranged } = match;
  if (role !== undefined && role !== request.role) return false;
  if (method !== undefined && method !== request.method) return false;
  if (authorized !== undefined && authorized !== (request.headers.authorization !== undefined)) return false;
  if (ranged !== undefined && ranged !== (request.headers.range !== undefined)) return false;
  if (typeof path === "string") return request.path.includes(path);
  return path === undefined || request.path.search(path) !== -1;
}

/** Whether the fault can show on this answer; see `FakeUpstream.script`. */
function canShow(fault: Fault, request: FakeRequest, answer: Answer): boolean {
  const good = answer.status >= 200 && answer.status < 300;
  switch (fault.kind) {
    case "cut":
    case "reset":
    case "stall":
    case "hold":
    case "corrupt":
    case "short":
    case "long":
    case "gzip":
    case "drip":
      return good && request.method === "GET" && answer.body.size > 0;
    case "length":
      return good;
    case "noRange":
      return request.headers.range !== undefined && (answer.status === 206 || answer.status === 416);
    default:
      return true;
  }
}

/** Changes the plan as the fault says; `whole` is the answer before a Range was taken of it. */
export function applyFault(plan: Plan, fault: Fault, whole: Answer): Plan {
  const { answer } = plan;
  const { body } = answer;
  switch (fault.kind) {
    case "status": {
      const { status, headers, body: text } = fault;
      const other = text === undefined ? refusal(status, "UNKNOWN") : { status, headers: {}, body: bodyOf(text) };
      return { ...plan, answer: { ...other, headers: { ...other.headers, ...lowerCase(headers) } } };
    }
    case "redirect":
      return { ...plan, answer: redirect(fault.status ?? 307, fault.location) };
    case "html":
      return { ...plan, answer: page(fault.status ?? 200) };
    case "cut":
    case "reset":
    case "stall":
      return withPause(plan, { atByte: fault.atByte, what: fault.kind });
    case "hold":
      return withPause(plan, { atByte: fault.atByte, what: fault.until });
    case "corrupt":
      return { ...plan, answer: { ...answer, body: withFlippedByte(body, fault.atByte) } };
    case "short":
      return { ...plan, answer: { ...answer, body: partOf(body, 0, Math.max(0, body.size - (fault.bytes ?? 1))) } };
    case "long":
      return { ...plan, answer: { ...answer, body: withMoreBytes(body, fault.bytes ?? 1) } };
    case "gzip": {
      const packed = bodyOf(gzipSync(body.piece(0, body.size)));
      return {
        ...plan,
        answer: { ...answer, body: packed, headers: { ...answer.headers, "content-encoding": "gzip" } },
      };
    }
    case "length":
      return { ...plan, contentLength: fault.contentLength };
    case "headers":
      return withHeaders(plan, lowerCase(fault.set), new Set((fault.remove ?? []).map((name) => name.toLowerCase())));
    case "drip":
      return { ...plan, rate: rateOf(fault.bytesPerSecond, fault.pieceBytes) };
    case "noRange":
      return { ...plan, answer: whole };
    case "hang":
    case "drop":
      return { ...plan, instead: fault.kind };
    case "endlessHeaders":
      return { ...plan, instead: fault };
    case "answer":
      return { ...plan, instead: fault.handler };
  }
}

const PIECES_PER_SECOND = 20;
/** However fast, no larger pieces than what is sent without a rate. */
const PIECE_BYTES_MAX = 256 * 1024;

export function rateOf(bytesPerSecond: number, pieceBytes?: number): Rate {
  const even = Math.min(PIECE_BYTES_MAX, Math.max(1, Math.floor(bytesPerSecond / PIECES_PER_SECOND)));
  return { bytesPerSecond, pieceBytes: pieceBytes ?? even };
}

function withPause(plan: Plan, pause: Pause): Plan {
  return { ...plan, pauses: [...plan.pauses, pause].toSorted((a, b) => a.atByte - b.atByte) };
}

/** Content-Length is no header of the answer but of its way out. */
function withHeaders(
  plan: Plan,
  { "content-length": length, ...set }: Record<string, string>,
  remove: Set<string>,
): Plan {
  const kept = Object.entries({ ...plan.answer.headers, ...set }).filter(([name]) => !remove.has(name));
  const told = length === undefined ? plan.contentLength : Number(length);
  const contentLength = remove.has("content-length") ? undefined : told;
  return { ...plan, contentLength, answer: { ...plan.answer, headers: Object.fromEntries(kept) } };
}

function lowerCase(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

interface Scripted {
  readonly match: RequestMatch;
  readonly queue: { readonly fault: Fault; left: number }[];
}

/** The faults that tests asked for, and whose turn it is. */
export class Script {
  readonly #scripts = new Set<Scripted>();

  add(match: RequestMatch, faults: readonly Fault[]): { remove(): void } {
    const scripted = { match, queue: faults.map((fault) => ({ fault, left: fault.times ?? 1 })) };
    this.#scripts.add(scripted);
    return { remove: () => void this.#scripts.delete(scripted) };
  }

  /** The answer with its range taken, and the faults of this request applied. */
  plan(request: FakeRequest, whole: Answer, rate: Rate | undefined): Plan {
    const answer = takeRange(whole, request.headers.range);
    const faults = this.#take(request, answer);
    // A `noRange` comes first: it brings the whole body, in which the others then have their effect.
    const ordered = faults.toSorted((a, b) => Number(b.kind === "noRange") - Number(a.kind === "noRange"));
    return ordered.reduce((plan, fault) => applyFault(plan, fault, whole), planOf(answer, rate));
  }

  #take(request: FakeRequest, answer: Answer): Fault[] {
    const lasting: Fault[] = [];
    const once: Fault[] = [];
    for (const { match, queue } of this.#scripts) {
      const [head] = queue;
      if (head === undefined || !matches(match, request) || !canShow(head.fault, request, answer)) continue;
      if (head.left === Infinity) lasting.push(head.fault);
      else if (once.length === 0) {
        once.push(head.fault);
        head.left -= 1;
        if (head.left <= 0) queue.shift();
      }
    }
    return [...lasting, ...once];
  }
}
