import { readFileSync } from "node:fs";

/** A network for containers that this machine has no way to. */
export interface Subnet {
  readonly cidr: string;
  /** The bridge's own. */
  readonly gateway: string;
  /** One that nobody is given unasked. */
  readonly last: string;
}

const FIRST = 64;
const COUNT = 128;

/** A run that was killed may have left its bridges behind; those that are down count too. */
export function freeSubnet(): Subnet {
  const [, ...routes] = readFileSync("/proc/net/route", "utf8").split("\n");
  // Destinations are hexadecimal, last byte first.
  const taken = new Set(routes.map((line) => line.split("\t")[1]?.slice(2)));
  for (let third = FIRST; third < FIRST + COUNT; third += 1) {
    const hex = [third, 213, 10].map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join("");
    if (taken.has(hex)) continue;
    const prefix = `10.213.${third}`;
    return { cidr: `${prefix}.0/28`, gateway: `${prefix}.1`, last: `${prefix}.14` };
  }
  throw new Error("no network is left for containers");
}
