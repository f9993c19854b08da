import { RegistryError } from "../oci/errors.ts";
import type { Identity } from "./access.ts";

/** Where a client that is refused may get a token, and for what. */
export interface Challenged {
  /** Undefined where the client has not said by what name it has found us. */
  readonly tokenUrl: string | undefined;
  /** `repository:library/nginx:pull`; undefined where no repository was asked for. */
  readonly scope: string | undefined;
}

/** What tokens are for, in the challenge and in clients' questions. */
const SERVICE = "registry-cache";

/** Asks for a token, which is had with a password. */
export function tokenChallenge(message: string, isWrong: boolean, { tokenUrl, scope }: Challenged): RegistryError {
  if (tokenUrl === undefined) return basicChallenge(message);
  const parts = [
    `realm="${tokenUrl}"`,
    `service="${SERVICE}"`,
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
    ...(isWrong ? ['error="invalid_token"'] : []),
  ];
  return new RegistryError(401, "UNAUTHORIZED", message, {
    headers: { "WWW-Authenticate": `Bearer ${parts.join(",")}` },
  });
}

/** Asks for a password. */
export function basicChallenge(message: string): RegistryError {
  const headers = { "WWW-Authenticate": 'Basic realm="Registry Cache", charset="UTF-8"' };
  return new RegistryError(401, "UNAUTHORIZED", message, { headers });
}

/** Asks for credentials of the upstream (`pass_through`). */
export function upstreamChallenge(isWrong: boolean, challenged: Challenged): RegistryError {
  const message = isWrong
    ? "upstream does not take these credentials for this repository"
    : "this is private: pulling it here needs a user and a password of the upstream's";
  return tokenChallenge(message, isWrong, challenged);
}

/** Lets in to a registry's own host name who has said what it has to say to the upstream, be it that it has nothing. */
export function assertOffered({ offer, isWrong }: Identity, challenged: () => Challenged): void {
  if (offer === undefined) throw upstreamChallenge(isWrong, challenged());
}
