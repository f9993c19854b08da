import { readFileSync } from "node:fs";

/** The package's version; its `package.json` lies two folders up both in a checkout and in the published package. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
