import manifest from "../../package.json" with { type: "json" };

/** The package's version. Imported, not read: in a bundle nothing lies where it lay. */
export function packageVersion(): string {
  return manifest.version;
}
