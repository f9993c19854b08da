import { splitSecret } from "../access/secret-paths.ts";
import { RegistryError } from "../oci/errors.ts";

export interface Target {
  /** Without the secret. */
  readonly path: string;
  /** Of a secret path; never logged. */
  readonly secret: string | undefined;
  readonly query: URLSearchParams;
}

/** Of a request that says none. */
export const NO_TARGET: Target = { path: "", secret: undefined, query: new URLSearchParams() };

/** Longer than any URL that a client of a registry sends: 255 characters of name, 128 of reference, a few parameters. */
const TARGET_LENGTH_MAX = 4_096;

/** Splits a request target (RFC 9112, section 3.2). Only the origin form is for us: we are nobody's forward proxy. */
export function parseTarget(target: string): Target {
  if (target.length > TARGET_LENGTH_MAX) throw new RegistryError(414, "NAME_INVALID", "the URL is too long");
  if (!target.startsWith("/")) throw new RegistryError(400, "UNSUPPORTED", "this is a registry, not a forward proxy");
  if (/[^\x21-\x7e]/.test(target))
    throw new RegistryError(400, "NAME_INVALID", "the URL has characters that must be encoded");
  const mark = target.indexOf("?");
  if (mark === -1) return { ...splitSecret(target), query: NO_TARGET.query };
  return { ...splitSecret(target.slice(0, mark)), query: new URLSearchParams(target.slice(mark + 1)) };
}
