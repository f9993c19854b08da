/** Who asks the API, as far as it matters. */
export interface ApiCaller {
  /** For the log. */
  readonly name: string;
  /** Admins, and whoever has the local socket, act, and see what is kept from others: private names, who has pulled what. */
  readonly isAdmin: boolean;
}

/** One question, whichever way it came in. Whether it may be asked was found out before. */
export interface ApiQuestion {
  /** HEAD is asked as GET. */
  readonly method: string;
  /** Path as sent. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Partial<Record<"contentType" | "ifNoneMatch" | "lastEventId", string | undefined>>>;
  readonly body: Buffer | undefined;
  readonly caller: ApiCaller;
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The whole of it, or pieces as they come. */
  readonly body: Buffer | AsyncIterable<Uint8Array>;
}

/** What the ways in need of the API. */
export interface AskedApi {
  /** What may be done with a path; none where there is no such path. */
  methodsOf(path: string): readonly string[];
  /** Rejects with a `ProblemError`, or when the signal ends. */
  answer(question: ApiQuestion): Promise<ApiAnswer>;
}
