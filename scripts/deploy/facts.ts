/**
 * What scripts/deploy.sh has to know of the configuration, from `registry-cache check --json` on standard input: a line `NAME VALUE`
 * for each fact, so that a shell reads it without quoting.
 */
import { readFileSync } from "node:fs";

interface Effective {
  readonly listen: readonly (string | { readonly address: string })[];
  readonly data_dir: string;
  readonly stop_timeout: string;
  readonly tls: { readonly mode: string; readonly http_listen?: string };
}

const { listen, data_dir: dataDir, tls } = JSON.parse(readFileSync(0, "utf8")) as Effective;
const addresses = listen.map((one) => (typeof one === "string" ? one : one.address));
const isSimple = listen.length === 1 && typeof listen[0] === "string";
const facts: Readonly<Record<string, string>> = {
  listen: addresses[0] ?? "",
  addresses: isSimple ? "one" : "several",
  scheme: tls.mode === "off" ? "http" : "https",
  acme_port: tls.http_listen?.replace(/^.*:/, "") ?? "",
  // A line break in it would begin another fact; this stands for it, and is refused as well.
  data_dir: dataDir.replace(/[\r\n]/g, "?"),
};
process.stdout.write(
  Object.entries(facts)
    .map(([name, value]) => `${name} ${value}\n`)
    .join(""),
);
