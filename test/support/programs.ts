import { accessSync, constants } from "node:fs";
import path from "node:path";

/** The system's folders come first: a program of another source may lie in one of the user's, such as /usr/local/bin. */
export const PROGRAM_FOLDERS: readonly string[] = [
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  ...(process.env["PATH"] ?? "").split(":"),
  // Where Go's own archive goes, and where few have their PATH lead.
  "/usr/local/go/bin",
];

/** The full path of a program, undefined where it is not installed. */
export function findProgram(name: string): string | undefined {
  return PROGRAM_FOLDERS.map((folder) => path.join(folder, name)).find(isProgram);
}

/** Whether that file is there and may be run. */
export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
