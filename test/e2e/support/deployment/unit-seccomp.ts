import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";

import { toolPath } from "../tools.ts";
import { CHECKOUT } from "./image.ts";

/** What the unit's SystemCallFilter lets through, as a profile for a container: what is refused there is refused here. */
export async function unitSeccomp(): Promise<string> {
  const unit = await readFile(path.join(CHECKOUT, "deploy/systemd/registry-cache.service"), "utf8");
  const [allowed = "", refused = ""] = [...unit.matchAll(/^SystemCallFilter=(.*)$/gm)].map(([, names = ""]) => names);
  const names = new Set(allowed.split(" ").flatMap((name) => callsOf(name)));
  for (const name of refused.replace("~", "").split(" ")) for (const call of callsOf(name)) names.delete(call);
  // What the engine itself needs to come as far as the program, which systemd does before it filters.
  for (const call of ["capset", "chdir", "execve", "setgid", "setgroups", "setuid"]) names.add(call);
  return JSON.stringify({
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [{ names: [...names].toSorted(), action: "SCMP_ACT_ALLOW" }],
  });
}

/** The calls of a group, and of the groups in it. */
function callsOf(name: string): string[] {
  if (!name.startsWith("@")) return [name];
  const text = execFileSync(toolPath("systemd-analyze"), ["syscall-filter", name], { encoding: "utf8" });
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "" && line !== name && !line.startsWith("#")).flatMap((line) => callsOf(line));
}
