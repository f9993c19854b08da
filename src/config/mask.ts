import type { Credentials } from "./config.ts";

/** Stands for a secret wherever a configuration is shown. */
export const MASK = "********";

/** Credentials as they may be shown: who it is, and that there is a secret. */
export function maskCredentials(credentials: Credentials | undefined): Record<string, string> {
  if (credentials === undefined) return {};
  return credentials.kind === "basic" ? { username: credentials.username, password: MASK } : { token: MASK };
}
