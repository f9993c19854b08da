import { findProgram } from "../../test/support/programs.ts";
import { UsageError } from "../options.ts";

/** Where each program comes from (Debian's package names). */
const PACKAGES = {
  curl: "curl",
  "docker-registry": "docker-registry",
  nginx: "nginx-light",
  setpriv: "util-linux",
  skopeo: "skopeo",
  taskset: "util-linux",
  wrk: "wrk",
} as const;

export type Tool = keyof typeof PACKAGES;

/** The programs that drive and stand beside us. */
export class Tools {
  readonly #paths: ReadonlyMap<string, string>;

  private constructor(paths: ReadonlyMap<string, string>) {
    this.#paths = paths;
  }

  /** Says what to install where one is missing. */
  static find(): Tools {
    const names = Object.keys(PACKAGES) as Tool[];
    const missing = names.filter((name) => findProgram(name) === undefined);
    if (missing.length > 0) {
      const packages = [...new Set(missing.map((name) => PACKAGES[name]))].toSorted();
      throw new UsageError(`not installed: ${missing.join(", ")}`, `apt-get install -y ${packages.join(" ")}`);
    }
    return new Tools(new Map(names.map((name) => [name, findProgram(name) ?? ""])));
  }

  path(tool: Tool): string {
    return this.#paths.get(tool) ?? "";
  }
}
