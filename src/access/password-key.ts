import { createHmac, randomBytes } from "node:crypto";

/** What users and their passwords are remembered by; it says nothing to whoever has not this process's key. */
export class PasswordKeys {
  readonly #key = randomBytes(32);

  of({ user, password }: { readonly user: string; readonly password: string }): string {
    return createHmac("sha256", this.#key).update(`${user}:${password}`).digest("base64");
  }
}
