import { availableParallelism, cpus, release, totalmem, type } from "node:os";

const GIB = 2 ** 30;

/** What figures depend on besides the programs. */
export function machineShape(): string[] {
  const model = cpus()[0]?.model.trim() ?? "unknown";
  return [
    `${availableParallelism()} cores, ${model}, ${(totalmem() / GIB).toFixed(1)} GiB of memory`,
    `${type()} ${release().split("-")[0]}, loopback`,
  ];
}
