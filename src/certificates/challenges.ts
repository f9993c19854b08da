import type { Screening } from "../server/entrance.ts";

/** What an authority wants to see where it finds a name. */
export interface Challenge {
  readonly name: string;
  /** Unlike any other's. */
  readonly token: string;
  readonly answer: string;
}

/** Where it is shown. */
export interface Challenges {
  readonly kind: "http-01" | "tls-alpn-01";
  /** How the authority looks, for the log. */
  readonly how: string;
  /** What must see connections before TLS does. */
  readonly screening: Screening | undefined;
  /** Rejects with the system's error (EADDRINUSE, EACCES). */
  open(): Promise<void>;
  show(challenge: Challenge): Promise<void>;
  /** Nobody asks for it any more. */
  withdraw(challenge: Pick<Challenge, "name" | "token">): void;
  close(): Promise<void>;
}
