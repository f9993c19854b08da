import { readPath, readSize } from "../../config/values.ts";
import { humanSize } from "../../lib/human.ts";
import { formatSize } from "../../lib/units.ts";
import type { Answers } from "../answers.ts";
import { checkBy } from "../names.ts";
import type { Talk } from "./world.ts";

/** Where data lies, and what stays free there. */
export async function askDisk({ asker, before, world }: Talk): Promise<Pick<Answers, "dataDir" | "minFreeDiskBytes">> {
  const dataDir = await asker.text("In which folder are images kept?", {
    byDefault: before.dataDir,
    check: checkBy((text) => readPath(text, "./data")),
  });
  const free = await world.freeBytes(dataDir);
  const now = free === undefined ? "" : ` (${humanSize(free)} are free now)`;
  const size = await asker.text(`How much of its disk stays free?${now}`, {
    byDefault: formatSize(before.minFreeDiskBytes),
    check: checkBy(readSize),
  });
  return { dataDir, minFreeDiskBytes: readSize(size) };
}
