/** How somebody was recognised. */
export type Method = "anonymous" | "basic" | "certificate" | "path" | "token";

/** Who is pulling. */
export interface Principal {
  /** A user's name, a name of a certificate, or the name of a secret path; `anonymous` for whoever said nothing. */
  readonly name: string;
  readonly method: Method;
}

export const ANONYMOUS: Principal = { name: "anonymous", method: "anonymous" };
