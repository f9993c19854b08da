/** What `make e2e-tools` runs. What cannot be built is said in one line and left out: its tests are skipped. */
import { buildGo, goProgramFile } from "../../support/go-program.ts";
import { isProgram } from "../../support/programs.ts";
import { BUILT_TOOLS } from "./built-tools.ts";

const EACH_MS_MAX = 240_000;
const ALL_MS_MAX = 360_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const deadline = Date.now() + ALL_MS_MAX;
for (const program of BUILT_TOOLS.filter((one) => !isProgram(goProgramFile(one)))) {
  const timeoutMs = Math.min(EACH_MS_MAX, deadline - Date.now());
  const built = timeoutMs > 0 ? await buildGo(program, { timeoutMs, say }) : { reason: "the others took too long" };
  if (typeof built !== "string") say(`without ${program.name}: ${built.reason}`);
}
