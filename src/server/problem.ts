import { STATUS_CODES } from "node:http";
import { RegistryError } from "../oci/errors.ts";

/** Below it errors are told as RFC 9457 has it, and not in the registry API's form. */
export const API_PATH = "/api/v1";

export function isOfApi(path: string): boolean {
  return path === API_PATH || path.startsWith(`${API_PATH}/`);
}

/** What is wrong with one field of a body, or one parameter of a URL. */
export type ProblemField =
  | { readonly pointer: string; readonly detail: string }
  | { readonly parameter: string; readonly detail: string };

export interface ProblemOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly fields?: readonly ProblemField[];
  readonly cause?: unknown;
}

/** An error of the API, as RFC 9457 has it. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #fields: readonly ProblemField[];

  constructor(status: number, detail: string, { headers = {}, fields = [], cause }: ProblemOptions = {}) {
    super(detail, cause === undefined ? undefined : { cause });
    this.status = status;
    this.headers = headers;
    this.#fields = fields;
  }

  /** The body of an `application/problem+json` answer. */
  toJSON(): unknown {
    const title = STATUS_CODES[this.status] ?? "Error";
    const errors = this.#fields.length === 0 ? {} : { errors: this.#fields };
    return { type: "about:blank", title, status: this.status, detail: this.message, ...errors };
  }
}

export const PROBLEM_TYPE = "application/problem+json";

export function badRequest(detail: string, fields: readonly ProblemField[] = []): ProblemError {
  return new ProblemError(400, detail, { fields });
}

/** The same error in the API's form; undefined for what nobody foresaw. */
export function problemOf(error: unknown): ProblemError | undefined {
  if (error instanceof ProblemError) return error;
  if (!(error instanceof RegistryError)) return undefined;
  const retryAfter = error.retryAfterS === undefined ? {} : { "Retry-After": String(Math.ceil(error.retryAfterS)) };
  return new ProblemError(error.status, error.message, { headers: { ...retryAfter, ...error.headers }, cause: error });
}
