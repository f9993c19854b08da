import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const PAGE = new URL("../../docs/doctor.md", import.meta.url);

/** What docs/doctor.md shows below a command that ends so. */
export async function documented(command: string): Promise<string> {
  const page = await readFile(PAGE, "utf8");
  const blocks = [...page.matchAll(/^```\n\$ (.*)\n([^]*?)^```$/gm)];
  const text = blocks.find(([, line]) => line?.endsWith(command) === true)?.[2];
  assert.ok(text !== undefined, `docs/doctor.md shows what \`${command}\` says`);
  return text;
}

/** Without what differs from machine to machine and from run to run. */
export function normal(text: string): string {
  return text
    .replaceAll(/^ {2}warning {2}it lies (?:in|on) .*\n.*\n/gm, "")
    .replaceAll(/\d{4}-\d\d-\d\d/g, "DAY")
    .replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT")
    .replaceAll(/in \d+(?:\.\d)? m?s\b/g, "in TIME")
    .replaceAll(/\d+(?:\.\d)? [KMGT]iB/g, "SIZE")
    .replaceAll(/of which \S+(?: B)? are/g, "of which SIZE are")
    .replaceAll(/leads here \(.*\)/g, "leads here (ADDRESSES)")
    .replaceAll(/ok {7}\S+ can be written/g, "ok       FOLDER can be written")
    .replaceAll(/may have .* files/g, "may have N files")
    .replaceAll(/on \d+ cores?/g, "on N cores")
    .replaceAll(/Docker Engine \S+,/g, "Docker Engine VERSION,")
    .replaceAll(/^Registry Cache \S+$/gm, "Registry Cache VERSION")
    .replaceAll(/\d+ warnings?$/gm, "N warnings");
}
