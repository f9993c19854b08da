/** A scope longer than this, in characters, is not taken from a challenge. */
export const SCOPE_LENGTH_MAX = 1024;

const REPOSITORY_SCOPE = /^repository(?:\([a-z0-9]+\))?:(.+):[a-z*,]*$/;
const REPOSITORY_PATH = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//;

/** The repository that a registry's URL path is about. */
export function repositoryOfPath(path: string): string | undefined {
  return REPOSITORY_PATH.exec(path)?.[1];
}

/**
 * The scope to ask a token for. What the challenge says counts only as far as it can be trusted to be about this
 * request: ghcr.io has placeholders (`repository:user/image:pull`), others name further repositories or actions, while
 * ghcr.io refuses `pull,push`. So it is `:pull` of this very repository, or a form without one (`aws`, `*`) as it came.
 */
export function scopeFor(said: string | undefined, repository: string): string {
  const own = `repository:${repository}:pull`;
  if (said === undefined || said.length > SCOPE_LENGTH_MAX) return own;
  const parts = said.split(" ").filter((part) => part !== "");
  const [only] = parts;
  if (parts.length === 1 && only !== undefined && !only.includes(":")) return only;
  const named = parts.find((part) => REPOSITORY_SCOPE.exec(part)?.[1] === repository);
  return named === undefined ? own : named.replace(/:[^:]*$/, ":pull");
}
