import type { Config } from "../config/config.ts";
import { CliError } from "./failure.ts";

interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly path?: string;
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
}

const CAUSES_MAX = 8;

/** Puts the system's reasons for which nothing starts into the operator's words; other errors stay what they are. */
export function explainStart(error: unknown, config: Pick<Config, "dataDir"> & Partial<Pick<Config, "acme">>): unknown {
  const system = systemErrorIn(error);
  const challenge = config.acme?.challenge;
  const isOfAcme = challenge?.kind === "http-01" && system?.port === challenge.listen.port;
  if (system?.syscall === "listen" && isOfAcme) return challengeFailure(system);
  if (system?.syscall === "listen" || system?.syscall === "getaddrinfo") return listenFailure(system);
  if (system !== undefined) return dataFailure(system, config.dataDir) ?? error;
  const { message, hint } = hinted(error);
  return hint === undefined ? error : new CliError(message, { hint, cause: error });
}

/** Rooms wrap the system's errors in their own. */
function systemErrorIn(error: unknown): SystemError | undefined {
  let current = error;
  for (let depth = 0; depth < CAUSES_MAX && current instanceof Error; depth += 1) {
    if ("code" in current && typeof current.code === "string" && /^E[A-Z0-9]+$/.test(current.code)) {
      return current as SystemError;
    }
    current = current.cause;
  }
  return undefined;
}

/** What systemd, and then Docker, call that right. */
const PRIVILEGED =
  "ports below 1024 need the right to them: `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the systemd unit, `--cap-add NET_BIND_SERVICE` in a container";

function listenFailure(error: SystemError): CliError {
  const where = addressOf(error);
  const failure = (reason: string, hint: string) =>
    new CliError(`cannot listen on ${where}: ${reason}`, { hint, cause: error });
  switch (error.code) {
    case "EADDRINUSE":
      return failure(
        "the port is in use",
        `stop the program that listens there, or choose another port: ${otherPort(error)}`,
      );
    case "EACCES":
      return failure("not permitted", `${PRIVILEGED}; or choose a higher port: ${otherPort(error)}`);
    case "EADDRNOTAVAIL":
      return failure(
        "this machine has no such address",
        "listen on an address of this machine, or on 0.0.0.0 for all of them",
      );
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return failure("the name cannot be resolved", "write an address instead, such as 127.0.0.1:5000");
    default:
      return failure(error.code, "see `listen` in the configuration");
  }
}

/** There is no choosing another port: the authority asks at port 80, whatever listens here. */
function challengeFailure(error: SystemError): CliError {
  const reason = { EADDRINUSE: "the port is in use", EACCES: "not permitted" }[error.code] ?? error.code;
  const lead = "lead port 80 to the one that `tls.http_listen` names, or write `challenge: tls-alpn-01`";
  const asks = "the authority asks there for a certificate (tls.mode: acme)";
  const hint = error.code === "EACCES" ? `${asks}; ${PRIVILEGED}; or ${lead}` : `${asks}: free the port, or ${lead}`;
  return new CliError(`cannot listen on ${addressOf(error)}: ${reason}`, { hint, cause: error });
}

function addressOf({ address, port, hostname }: SystemError): string {
  if (address === undefined) return hostname ?? "the configured address";
  return hostAndPort(address, port);
}

function hostAndPort(address: string, port: number | undefined): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return port === undefined ? host : `${host}:${port}`;
}

const PORT_MAX = 65_535;
const UNPRIVILEGED_PORT = 5000;

function otherPort({ address = "127.0.0.1", port = UNPRIVILEGED_PORT }: SystemError): string {
  const other = port < 1024 || port >= PORT_MAX ? UNPRIVILEGED_PORT : port + 1;
  return `REGISTRY_CACHE_LISTEN=${hostAndPort(address, other)}`;
}

function dataFailure(error: SystemError, dataDir: string): CliError | undefined {
  const path = error.path ?? dataDir;
  const failure = (reason: string, hint: string) => new CliError(`${path}: ${reason}`, { hint, cause: error });
  const choose = "choose another folder with `data_dir` or REGISTRY_CACHE_DATA_DIR";
  switch (error.code) {
    case "EACCES":
    case "EPERM":
      return failure("not permitted", `let this user read and write ${dataDir}, or ${choose}`);
    case "EROFS":
      return failure("the file system is read-only", choose);
    case "ENOENT":
      return failure("no such folder, and it cannot be made", `is a disk not mounted? Otherwise ${choose}`);
    case "ENOTDIR":
    case "EEXIST":
      return failure("not a folder", choose);
    case "ENOSPC":
    case "EDQUOT":
      return failure("no room left on its disk", `make room there, or ${choose}`);
    default:
      return undefined;
  }
}

/** Errors of our own that know what to do about them, such as the catalog's. */
function hinted(error: unknown): { message: string; hint: string | undefined } {
  if (!(error instanceof Error)) return { message: String(error), hint: undefined };
  const hint = "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
  return { message: error.message, hint };
}
