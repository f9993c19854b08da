import { parseRepositoryName, type Repository } from "../oci/reference.ts";

/** `docker.io/library/nginx`: up to the first slash the registry, whose name may have a port. Undefined where none can be called so. */
export function repositoryAt(path: string, idOf: ReadonlyMap<string, string>): Repository | undefined {
  const slash = path.indexOf("/");
  const name = slash === -1 ? undefined : parseRepositoryName(path.slice(slash + 1));
  if (name === undefined) return undefined;
  const serves = path.slice(0, slash);
  return { registryId: idOf.get(serves) ?? serves, serves, name };
}

/** Whether one comes behind another in the order in which the store names its repositories: by their folders. */
export function isBehind(path: string, other: string): boolean {
  const [one, two] = [path.split("/"), other.split("/")];
  for (const [index, part] of one.entries()) {
    const against = two[index];
    if (against === undefined || part > against) return true;
    if (part < against) return false;
  }
  return false;
}
