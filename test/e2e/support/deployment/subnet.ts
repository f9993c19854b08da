import { networkInterfaces } from "node:os";

/** A network for containers, which no interface of this machine is in. */
export interface Subnet {
  readonly cidr: string;
  /** The bridge's own. */
  readonly gateway: string;
  /** One that nobody is given unasked. */
  readonly last: string;
}

const FIRST = 64;
const COUNT = 128;

/** A run that was killed may have left its bridges behind. */
export function freeSubnet(): Subnet {
  const taken = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  for (let index = 0; index < COUNT; index += 1) {
    const prefix = `10.213.${FIRST + index}`;
    if (taken.some((address) => address.startsWith(`${prefix}.`))) continue;
    return { cidr: `${prefix}.0/28`, gateway: `${prefix}.1`, last: `${prefix}.14` };
  }
  throw new Error("no network is left for containers");
}
