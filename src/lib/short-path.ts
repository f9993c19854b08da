import { isAbsolute, relative } from "node:path";

/** A path as the user would write it. */
export function shortPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short.startsWith("..") || isAbsolute(short) || short === "" ? path : short;
}
