import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { buildGo } from "../../test/support/go-program.ts";
import type { Tools } from "../lib/tools.ts";
import type { Options } from "../options.ts";
import { type BuiltCandidate, DISTRIBUTION_3, ZOT } from "./built.ts";
import { CANDIDATES, type Candidate, type CandidateName, type Missing } from "./candidate.ts";
import { direct } from "./direct.ts";
import { distribution } from "./distribution.ts";
import { nginxProxyCache, nginxSendfile } from "./nginx.ts";
import { ours } from "./ours.ts";
import { zot } from "./zot.ts";

export interface Found {
  readonly present: readonly Candidate[];
  readonly missing: readonly Missing[];
}

/** All candidates that can run here, and why the others cannot. */
export async function findCandidates(tools: Tools, options: Options, say: (text: string) => void): Promise<Found> {
  const registry = await firstLine(tools.path("docker-registry"), ["--version"]);
  const nginx = await firstLine(tools.path("nginx"), ["-v"]);
  const packaged = [
    ours,
    distribution("registry:2", tools.path("docker-registry"), registry),
    nginxSendfile(`${nginx}, sendfile on`),
    nginxProxyCache(nginx),
    direct,
  ];
  const built = [await builtOne(DISTRIBUTION_3, options, say, distribution3), await builtOne(ZOT, options, say, zot)];
  const found: (Candidate | Missing)[] = [...packaged, ...built];
  const wanted = found.filter(({ name }) => isWanted(name, options)).toSorted(byColumn);
  return {
    present: wanted.filter((one) => "start" in one),
    missing: wanted.filter((one) => "reason" in one),
  };
}

function distribution3(program: string, version: string): Candidate {
  return distribution("distribution 3", program, version);
}

/** Not even looked for where it is not wanted: a build takes minutes. */
async function builtOne(
  program: BuiltCandidate,
  options: Options,
  say: (text: string) => void,
  candidate: (file: string, version: string) => Candidate,
): Promise<Candidate | Missing> {
  const { name, module, version } = program;
  if (options.noGo || !isWanted(name, options)) return { name, reason: "left out (--no-go, --just)" };
  const file = await buildGo(program, { say });
  return typeof file === "string" ? candidate(file, `${module} ${version}, built here`) : { name, ...file };
}

function isWanted(name: CandidateName, { just }: Options): boolean {
  return name === "ours" || just === undefined || just.includes(name);
}

function byColumn(a: { name: CandidateName }, b: { name: CandidateName }): number {
  return CANDIDATES.indexOf(a.name) - CANDIDATES.indexOf(b.name);
}

/** Some print their version to standard error. */
export async function firstLine(program: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, args);
  return `${stdout}${stderr}`.trim().split("\n")[0] ?? "";
}
