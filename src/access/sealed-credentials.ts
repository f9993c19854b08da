import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { basicCredentials, bearerToken } from "./authorization.ts";
import { TOKEN_LIFE_S } from "./tokens.ts";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Longer ones are not ours; cloud registries have passwords of some kilobytes. */
const TOKEN_LENGTH_MAX = 12_000;
const BASIC_LENGTH_MAX = 8_000;

/** What a client says to an upstream through us; `credentials` is undefined for who has none, and said so. */
export interface Offer {
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

interface Sealed {
  /** The registry's id: a token is shown to no other upstream. */
  readonly for: string;
  readonly user?: string;
  readonly password?: string;
  /** Seconds since the epoch. */
  readonly expiresAtS: number;
}

/**
 * Tokens that hold a client's credentials for an upstream (`private_content: pass_through`), encrypted: clients that have looked where
 * tokens are had send nothing else, and what they have sent for one is kept nowhere here.
 */
export class SealedCredentials {
  readonly #key: Buffer;

  /** Whoever has the key can read them. */
  constructor(tokenKey: Buffer) {
    this.#key = Buffer.from(hkdfSync("sha256", tokenKey, "", "registry-cache sealed credentials", KEY_BYTES));
  }

  /** Undefined where the token would be longer than any that is taken. */
  seal(registryId: string, { credentials }: Offer, nowMs: number): string | undefined {
    const expiresAtS = Math.floor(nowMs / 1000) + TOKEN_LIFE_S;
    const sealed: Sealed = { for: registryId, ...credentials, expiresAtS };
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES });
    const text = Buffer.concat([cipher.update(JSON.stringify(sealed), "utf8"), cipher.final()]);
    const token = Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64url");
    return token.length > TOKEN_LENGTH_MAX ? undefined : token;
  }

  /** What an Authorization header, a secret, says to a registry's upstream; undefined where it says nothing, or nothing good any more. */
  offerOf(authorization: string | undefined, registryId: string, nowMs: number): Offer | undefined {
    const credentials = basicCredentials(authorization, BASIC_LENGTH_MAX);
    if (credentials !== undefined) return { credentials };
    const token = bearerToken(authorization);
    const sealed = token === undefined ? undefined : this.#open(token);
    if (sealed === undefined || sealed.for !== registryId || sealed.expiresAtS * 1000 <= nowMs) return undefined;
    const { user, password } = sealed;
    return { credentials: user === undefined || password === undefined ? undefined : { user, password } };
  }

  #open(token: string): Sealed | undefined {
    const bytes = token.length > TOKEN_LENGTH_MAX ? Buffer.alloc(0) : Buffer.from(token, "base64url");
    if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
    const [nonce, rest] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES)];
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(rest.subarray(0, TAG_BYTES));
    try {
      const text = Buffer.concat([decipher.update(rest.subarray(TAG_BYTES)), decipher.final()]).toString("utf8");
      // Whatever has our tag was written by us.
      return JSON.parse(text) as Sealed;
    } catch {
      return undefined;
    }
  }
}
