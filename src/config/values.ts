import { isIPv4, isIPv6 } from "node:net";
import { isPathToken } from "../access/path-token.ts";
import { parseNetwork } from "../lib/networks.ts";
import { parseDuration, parseSize, shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import type { ListenAddress, Revalidate } from "./config.ts";
import { MASK } from "./mask.ts";

/** Readers of single values: they give the value or throw ValueError. Whatever is not what it must be is said with an example. */

/** What a YAML value is, in words. */
export function kindOf(input: unknown): string {
  if (input === null || input === undefined) return "empty";
  if (Array.isArray(input)) return "a list";
  if (typeof input === "object") return "a mapping";
  if (typeof input === "string") return "a text";
  return typeof input === "boolean" ? `\`${input}\`` : "a number";
}

export function readText(input: unknown, example: string): string {
  if (typeof input === "string" && input.trim() !== "") return input;
  if (typeof input === "number" || typeof input === "boolean") {
    throw new ValueError(`must be a text, not ${kindOf(input)}`, "put it in quotes");
  }
  const message =
    input === undefined ? "is missing" : `must be a text, not ${typeof input === "string" ? "empty" : kindOf(input)}`;
  throw new ValueError(message, `such as ${example}`);
}

/** Usernames, passwords, tokens: never quoted in what is said about them. */
export function readSecretText(input: unknown, example: string): string {
  const text = readText(input, example);
  if (/\p{Cc}/u.test(text)) {
    throw new ValueError(
      "contains a line break or another control character",
      "it goes into an HTTP header, on one line",
    );
  }
  if (/^\$\{\w+\}$/.test(text)) {
    const hint = "write the secret itself, or set its REGISTRY_CACHE_..._PASSWORD or ..._PASSWORD_FILE variable";
    throw new ValueError("is a variable's name, and variables are not replaced here", hint);
  }
  if (text === MASK) throw new ValueError("is the mask that `check` prints, not a secret", "write the secret itself");
  return text;
}

/** A token is sent as it is; HTTP would not carry spaces and letters beyond ASCII. Passwords are encoded on the way. */
export function readToken(input: unknown): string {
  const text = readSecretText(input, "a text in quotes");
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new ValueError("contains a space or a letter beyond ASCII", "copy the token again, without anything around it");
}

/** A file's or folder's name. */
export function readPath(input: unknown, example: string): string {
  const text = readText(input, example);
  if (text.includes("\0")) throw new ValueError("contains a NUL character", `such as ${example}`);
  if (/^~(?:\/|$)/.test(text)) {
    throw new ValueError("begins with ~, which only a shell replaces", "write the whole path, beginning with /");
  }
  if (/\$(?:\{\w|[A-Za-z_])/.test(text)) {
    throw new ValueError("has a variable in it, which only a shell replaces", "write the whole path, beginning with /");
  }
  return text;
}

export function readUsername(input: unknown): string {
  const text = readSecretText(input, "me");
  if (text.includes(":"))
    throw new ValueError("contains a colon", "HTTP's Basic scheme separates user and password by it");
  return text;
}

const BOOLEAN_WORDS: ReadonlyMap<string, boolean> = new Map([
  ...["yes", "on", "true", "y", "1"].map((word) => [word, true] as const),
  ...["no", "off", "false", "n", "0"].map((word) => [word, false] as const),
]);

export function readBoolean(input: unknown): boolean {
  if (typeof input === "boolean") return input;
  const meant = typeof input === "string" ? BOOLEAN_WORDS.get(input.toLowerCase()) : undefined;
  if (input === undefined) throw new ValueError("is missing", "write `true` or `false`");
  const hint = meant === undefined ? "without quotes" : `write ${meant}, without quotes: YAML 1.2 knows no yes and no`;
  throw new ValueError(`must be true or false, not ${kindOf(input)}`, hint);
}

export function readInteger(input: unknown, min: number, max: number): number {
  if (typeof input === "number" && Number.isInteger(input) && input >= min && input <= max) return input;
  if (typeof input === "string" && /^\d+$/.test(input))
    throw new ValueError("must be a number, not a text", "write it without quotes");
  throw new ValueError(`must be a whole number from ${min} to ${max}`, `such as ${Math.max(min, 16)}`);
}

const REQUESTS_PER_SECOND_MAX = 10_000;

export function readRate(input: unknown): number {
  if (typeof input === "number" && input > 0 && input <= REQUESTS_PER_SECOND_MAX) return input;
  const hint = "such as 10, or 0.5 for one request in two seconds";
  throw new ValueError(`must be a number above 0 and at most ${REQUESTS_PER_SECOND_MAX}`, hint);
}

export function readOneOf<T extends string>(input: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === input);
  if (found !== undefined) return found;
  const said = typeof input === "string" ? shown(input) : kindOf(input);
  throw new ValueError(`${said} is none of the possible values`, `write one of ${allowed.join(", ")}`);
}

/** A bare number goes the same way as a text: the unit is what is missing. */
function unitText(input: unknown, example: string): string {
  return typeof input === "number" ? String(input) : readText(input, example);
}

export function readDuration(input: unknown): number {
  return parseDuration(unitText(input, "60s"));
}

/** A limit on a wait. Zero would switch some of them off, and timers end at 24 days. */
export const TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000;

export function readTimeout(input: unknown, minMs = 1): number {
  const timeoutMs = readDuration(input);
  if (timeoutMs < minMs) throw new ValueError("must be longer than 0", "such as 5s");
  if (timeoutMs > TIMEOUT_MS_MAX) throw new ValueError("is too long", "the longest is 24h");
  return timeoutMs;
}

const INTERVAL_MS_MIN = 60 * 1000;
const INTERVAL_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** How often something is done by itself. */
export function readInterval(input: unknown): number {
  const intervalMs = parseDuration(unitText(input, "1h"));
  if (intervalMs < INTERVAL_MS_MIN) throw new ValueError("is too short", "the shortest is 1m");
  if (intervalMs > INTERVAL_MS_MAX) throw new ValueError("is too long", "the longest is 168h, a week");
  return intervalMs;
}

export function readSize(input: unknown): number {
  return parseSize(unitText(input, "200GiB"));
}

export function readRevalidate(input: unknown): Revalidate {
  if (input === "always" || input === "never" || input === "offline") return { kind: input };
  try {
    return { kind: "after", ms: readDuration(input) };
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new ValueError(error.message, `${error.hint ?? "write a duration"}; or one of always, never, offline`);
  }
}

const PORT_MAX = 65_535;
const HOST_LENGTH_MAX = 253;
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const HOST = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);

/** A DNS name or an IPv4 address, in lower case. */
export function isHost(text: string): boolean {
  if (text.length > HOST_LENGTH_MAX || !HOST.test(text)) return false;
  // What ends in a number is read as an address by everyone, and 10.0.0.256 and cache.5 are none (URL standard, "ends in a number").
  return isIPv4(text) || !/(?:^|\.)(?:\d+|0x[\da-f]*)$/.test(text);
}

function isPort(text: string, min: number): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= min && Number(text) <= PORT_MAX;
}

/** `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`. Port 0 takes any free one. */
export function readListen(input: unknown): ListenAddress {
  const text = unitText(input, "127.0.0.1:5000");
  const bare = /^:?(\d{1,5})$/.exec(text)?.[1] ?? /^\*:(\d{1,5})$/.exec(text)?.[1];
  if (bare !== undefined) {
    const hint = `write 127.0.0.1:${bare} for this machine alone, or 0.0.0.0:${bare} for the whole network`;
    throw new ValueError(`${shown(text)} does not say who may connect`, hint);
  }
  const [, v6, name, port = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(text) ?? [];
  const host = v6 ?? name?.toLowerCase() ?? "";
  if (!(v6 === undefined ? isHost(host) : isIPv6(host))) {
    throw new ValueError(`${shown(text)} is not HOST:PORT`, "such as 127.0.0.1:5000, [::1]:5000 or 0.0.0.0:5000");
  }
  if (!isPort(port, 0)) throw new ValueError(`${shown(text)} has no valid port`, `ports go up to ${PORT_MAX}`);
  return { host, port: Number(port) };
}

/** The name that images carry; by the rule of Docker's reference grammar it cannot be mistaken for a repository. */
export function readServes(input: unknown): string {
  const text = readText(input, "registry.example.com");
  const [, host = "", port] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const hasPort = port !== undefined;
  if (!isHost(host.toLowerCase()) || (hasPort && !isPort(port, 1))) {
    throw new ValueError(`${shown(text)} is not a registry's name`, "such as registry.example.com or localhost:5001");
  }
  if (text !== text.toLowerCase()) {
    throw new ValueError(`${shown(text)} has upper-case letters`, `write ${text.toLowerCase()}`);
  }
  if (!hasPort && !host.includes(".") && host !== "localhost") {
    const hint = `clients take ${text}/app for a repository of Docker Hub; use a name with a dot or a port`;
    throw new ValueError(`${shown(text)} has neither a dot nor a port`, hint);
  }
  return text;
}

/** A Host header's name, which is compared without its port. */
export function readHostname(input: unknown): string {
  const text = readText(input, "hub.registry.example.com").toLowerCase();
  if (isHost(text)) return text;
  const withoutPort = text.replace(/^https?:\/\//, "").replace(/(?::\d*)?\/*$/, "");
  const hint = isHost(withoutPort)
    ? `write ${withoutPort}, without scheme, port and path`
    : "such as hub.registry.example.com";
  throw new ValueError(`${shown(text)} is not a host name`, hint);
}

/** `auth.example.com`, `*.example.com`, either with a port. */
export function readRealm(input: unknown): string {
  const text = readText(input, "auth.example.com").toLowerCase();
  const [, host = "", port] = /^(?:\*\.)?([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  if (isHost(host) && (port === undefined || isPort(port, 1))) return text;
  throw new ValueError(
    `${shown(text)} is not a host pattern`,
    "such as auth.example.com or *.example.com, without https://",
  );
}

/** An origin without a path: names are looked up below `/v2/` of it, and secrets have their own keys. */
export function readUpstream(input: unknown): string {
  return readOrigin(input, "https://registry.example.com", "http://127.0.0.1:5001");
}

/** By which clients reach the cache: an origin, as their own settings want it. */
export function readUrl(input: unknown): string {
  const origin = readOrigin(input, "https://cache.example.com", "http://10.0.0.7:5000");
  // Quotes and dollars may be in an URL's host; this one becomes part of settings and scripts.
  const host = new URL(origin).hostname;
  if (isHost(host) || host.startsWith("[")) return origin;
  throw new ValueError(`${shown(host)} is not a host name`, "such as https://cache.example.com");
}

function readOrigin(input: unknown, example: string, other: string): string {
  const text = readText(input, example);
  const hint = `such as ${example} or ${other}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:\/\//i.test(text)) {
    // What is not an URL may still contain a password: it is not quoted.
    throw new ValueError("is not an http:// or https:// address", hint);
  }
  if (url.username !== "" || url.password !== "" || text.includes("@")) {
    throw new ValueError("contains a user or a password", "use the keys username and password, or the environment");
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "" || /[?#]/.test(text)) {
    throw new ValueError("has more than scheme, host and port", `write ${url.origin}`);
  }
  return url.origin;
}

/** `10.0.0.0/8`, `192.168.1.7`, `fd00::/8`. */
export function readNetwork(input: unknown): string {
  const text = readText(input, "10.0.0.0/8");
  parseNetwork(text);
  return text;
}

/** Of a user or a secret path, as it stands in rules and in the log. */
export function readPrincipalName(input: unknown): string {
  const text = readText(input, "lab");
  if (text === "anonymous") throw new ValueError("is what those are called who say nothing", "take another name");
  if (/^[^\s:*?{}[\]/\p{Cc}]{1,64}$/u.test(text)) return text;
  throw new ValueError(`${shown(text)} is no name`, "at most 64 characters, without spaces, colons, slashes and stars");
}

/** The secret in `/t/<token>`. */
export function readPathToken(input: unknown): string {
  const text = readSecretText(input, "what `openssl rand -hex 24` prints");
  if (isPathToken(text)) return text;
  throw new ValueError(
    "is no token for a path: 22 to 200 letters, digits, - and _",
    "take what `openssl rand -hex 24` prints",
  );
}

/** The URL of an ACME directory. */
export function readDirectory(input: unknown): string {
  const text = readText(input, "https://acme-v02.api.letsencrypt.org/directory");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && url.username === "" && url.password === "") return url.href;
  throw new ValueError(
    `${shown(text)} is not an https:// address`,
    "such as https://ca.example.com/acme/acme/directory for Step-CA",
  );
}
