import { createHmac, timingSafeEqual } from "node:crypto";
import { ANONYMOUS, type Principal } from "./principal.ts";

/** How long a token is good. Seconds. */
export const TOKEN_LIFE_S = 300;
/** What clients are told, 60 s at least by the specification: a clock that differs a little, or a slow answer, must not refuse it. */
export const TOKEN_TOLD_S = 270;
/** Longer ones are not ours. */
const TOKEN_LENGTH_MAX = 2_048;

/** What a token says. */
interface Claims {
  /** The principal's name. */
  readonly name: string;
  readonly isAnonymous: boolean;
  /** Seconds since the epoch. */
  readonly expiresAtS: number;
}

/**
 * Bearer tokens of the distribution token flow: who it is, signed. What they may pull is asked of the rules at each request, so that
 * a token has no scope of its own.
 */
export class Tokens {
  readonly #key: Buffer;

  /** Whoever has the key makes tokens. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  issue({ name, method }: Principal, nowMs: number): string {
    const expiresAtS = Math.floor(nowMs / 1000) + TOKEN_LIFE_S;
    const claims: Claims = { name, isAnonymous: method === "anonymous", expiresAtS };
    const body = Buffer.from(JSON.stringify(claims)).toString("base64url");
    return `${body}.${this.#signatureOf(body)}`;
  }

  /** Undefined for what is no token of ours, or has expired. */
  principal(token: string, nowMs: number): Principal | undefined {
    const [body = "", signature = "", ...more] = token.length > TOKEN_LENGTH_MAX ? [] : token.split(".");
    // As texts: decoding would take other letters for the same bytes.
    const given = Buffer.from(signature);
    const right = Buffer.from(this.#signatureOf(body));
    if (more.length > 0 || given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
    // Whatever has our signature was written by us.
    const { name, isAnonymous, expiresAtS } = JSON.parse(Buffer.from(body, "base64url").toString()) as Claims;
    if (expiresAtS * 1000 <= nowMs) return undefined;
    return isAnonymous ? ANONYMOUS : { name, method: "token" };
  }

  #signatureOf(body: string): string {
    return createHmac("sha256", this.#key).update(body).digest("base64url");
  }
}
