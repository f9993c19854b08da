/** An error of the local API, as RFC 9457 has it. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly status: number;
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, title: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.title = title;
    this.headers = headers;
  }

  /** The body of an `application/problem+json` answer. */
  toJSON(): unknown {
    return { type: "about:blank", title: this.title, status: this.status, detail: this.message };
  }
}

export function badRequest(detail: string): ProblemError {
  return new ProblemError(400, "Bad Request", detail);
}
