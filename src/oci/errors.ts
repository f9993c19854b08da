/** The error codes of the distribution specification, and TOOMANYREQUESTS / UNAVAILABLE as registries use them. */
export type ErrorCode =
  | "BLOB_UNKNOWN"
  | "DENIED"
  | "DIGEST_INVALID"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "PAGINATION_NUMBER_INVALID"
  | "RANGE_INVALID"
  | "SIZE_INVALID"
  | "TAG_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  | "UNAVAILABLE"
  | "UNKNOWN"
  | "UNSUPPORTED";

export interface RegistryErrorOptions {
  readonly detail?: unknown;
  readonly cause?: unknown;
  /** Seconds after which asking again makes sense; sent as `Retry-After`. */
  readonly retryAfterS?: number;
  /** Further response headers, such as `Content-Range` on a 416. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * An error that knows its own wire form (distribution-spec, "Error Codes"). It is thrown where the cause is known and
 * written to the client in one place, `server/respond.ts`.
 */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: unknown;
  readonly retryAfterS: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, message: string, options: RegistryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.code = code;
    this.detail = options.detail;
    this.retryAfterS = options.retryAfterS;
    this.headers = options.headers ?? {};
  }

  /** The response body, `{"errors":[{code,message,detail}]}`. */
  toJSON(): unknown {
    const detail = this.detail === undefined ? {} : { detail: this.detail };
    return { errors: [{ code: this.code, message: this.message, ...detail }] };
  }
}
