import { humanDuration, humanSize } from "./human.ts";
import { printable } from "./printable.ts";

/** As the logger wrote it, parsed. */
export type LogRecord = Readonly<Record<string, unknown>>;

/** What log lines are painted with; pino-pretty hands over functions that leave the text alone without a terminal. */
export interface LineColors {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
}

/** The message of the access log's lines. */
export const REQUEST_MESSAGE = "request";

const SEPARATOR = "  ";
const DIGEST_HEX_SHOWN = 12;
const ERROR_STATUS_MIN = 400;

/** A log record as text for people: always one line, with an error's stack below it where there is one. */
export function logLine(record: LogRecord, messageKey: string, colors: LineColors): string {
  const message = record[messageKey];
  const line = message === REQUEST_MESSAGE ? requestLine(record, colors) : plainLine(record, messageKey, colors);
  return line + stackOf(record["err"], colors);
}

/** `GET  dockerhub/library/alpine:latest  miss  528 B  12 ms  127.0.0.1` */
function requestLine(record: LogRecord, colors: LineColors): string {
  const { method, bytes, durationMs, client, aborted, error } = record;
  const parts = [
    shown(method),
    colors.bold(targetOf(record)),
    outcomeOf(record, colors),
    aborted === true ? colors.yellow("client left") : "",
    typeof bytes === "number" ? humanSize(bytes) : "",
    typeof durationMs === "number" ? humanDuration(durationMs) : "",
    colors.dim(clientOf(client)),
    // Last, since it may be long.
    typeof error === "string" ? colors.yellow(shown(error)) : "",
  ];
  return parts.filter((part) => part !== "").join(SEPARATOR);
}

/** What was asked besides manifests and blobs, as the API's paths have it. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  ping: "ping",
  catalog: "_catalog",
  tags: "tags/list",
  referrers: "referrers",
  upload: "push",
};

function targetOf(record: LogRecord): string {
  const { endpoint } = record;
  const asked = typeof endpoint === "string" && Object.hasOwn(ENDPOINTS, endpoint) ? ENDPOINTS[endpoint] : undefined;
  return asked === undefined || record["path"] !== undefined ? contentOf(record) : `${contentOf(record)} ${asked}`;
}

function contentOf({ registry, repository, reference, path }: LogRecord): string {
  if (typeof path === "string" || typeof registry !== "string") return shown(path);
  const name = typeof repository === "string" ? `${registry}/${repository}` : registry;
  return shown(typeof reference === "string" ? name + referenceOf(reference) : name);
}

/** A tag as `:latest`, a digest as `@sha256:` with its first digits, which are enough for people. */
function referenceOf(reference: string): string {
  const colon = reference.indexOf(":");
  if (colon === -1) return `:${reference}`;
  const end = colon + 1 + DIGEST_HEX_SHOWN;
  return `@${reference.slice(0, end)}${reference.length > end ? "…" : ""}`;
}

function outcomeOf({ outcome, status }: LogRecord, colors: LineColors): string {
  const failed = typeof status === "number" && status >= ERROR_STATUS_MIN;
  const text = [outcome, failed || outcome === undefined ? status : undefined].filter((part) => part !== undefined);
  const paint = failed ? colors.red : shown(outcome).startsWith("stale") ? colors.yellow : colors.green;
  return text.length === 0 ? "" : paint(text.map(shown).join(" "));
}

/** A socket that takes both address families shows IPv4 clients as IPv6 ones. */
function clientOf(client: unknown): string {
  return client === undefined ? "" : shown(client).replace(/^::ffff:/, "");
}

const OWN_KEYS: ReadonlySet<string> = new Set(["level", "time", "pid", "hostname", "err"]);

/** `the catalog was rebuilt  repositories=3  bytes=1024` */
function plainLine(record: LogRecord, messageKey: string, colors: LineColors): string {
  const details = Object.entries(record)
    .filter(([key]) => key !== messageKey && !OWN_KEYS.has(key))
    .map(([key, value]) => colors.dim(`${shown(key)}=`) + detail(value));
  return [shown(record[messageKey]), ...details].join(SEPARATOR);
}

/** Quoted only where the end of the value could not be told otherwise. */
function detail(value: unknown): string {
  if (typeof value !== "string") return shown(JSON.stringify(value));
  return shown(value === "" || value.includes(" ") ? JSON.stringify(value) : value);
}

function stackOf(error: unknown, colors: LineColors): string {
  if (typeof error !== "object" || error === null) return "";
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  const text = typeof stack === "string" ? stack : typeof message === "string" ? message : "";
  if (text === "") return "";
  return text
    .split("\n")
    .map((line) => `\n    ${colors.dim(printable(line))}`)
    .join("");
}

function shown(value: unknown): string {
  if (value === undefined) return "";
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}
