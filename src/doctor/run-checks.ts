import { LATE, within } from "../lib/wait.ts";
import { type Area, type Check, problem } from "./finding.ts";

/** Whatever a check waits for has limits of its own; this is for what nobody thought of, such as a disk that does not answer. */
const CHECK_MS_MAX = 45_000;

/** Looks at everything at once; `done` hears of each area in the order of the checks, as soon as all before it are there. */
export async function runChecks(checks: readonly Check[], done: (area: Area) => void): Promise<readonly Area[]> {
  const looking = checks.map(async (check) => await areaOf(check));
  const areas: Area[] = [];
  for (const one of looking) {
    const area = await one;
    areas.push(area);
    if (area.findings.length > 0) done(area);
  }
  return areas;
}

async function areaOf({ title, look }: Check): Promise<Area> {
  const patience = new AbortController();
  try {
    const findings = await within(look(patience.signal), CHECK_MS_MAX);
    if (findings !== LATE) return { title, findings };
    const late = problem(
      `it was not known within ${CHECK_MS_MAX / 1000} s`,
      "look for a disk or a name service that does not answer",
    );
    return { title, findings: [late] };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return {
      title,
      findings: [problem(`it cannot be looked at: ${what}`, "please report this as a fault in Registry Cache")],
    };
  } finally {
    patience.abort();
  }
}
