import ipaddr from "ipaddr.js";
import { ValueError } from "./value-error.ts";
import { shown } from "./units.ts";

/** Addresses that may connect; an IPv4 address means the same when it comes in IPv6's clothes. */
export class Networks {
  readonly #ranges: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][];

  /** Throws a `ValueError` for what is neither an address nor a network. */
  constructor(networks: readonly string[]) {
    this.#ranges = networks.map(parseNetwork);
  }

  includes(address: string | undefined): boolean {
    // A socket that is closed knows no address any more.
    if (address === undefined || !ipaddr.isValid(withoutZone(address))) return false;
    const asked = ipaddr.process(withoutZone(address));
    return this.#ranges.some(([network, bits]) => asked.kind() === network.kind() && asked.match([network, bits]));
  }
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Throws a `ValueError`. */
export function parseNetwork(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const hint = "such as 10.0.0.0/8, 192.168.1.7 or fd00::/8";
  if (!text.includes("/")) {
    if (!ipaddr.isValid(text) || isShort(text)) throw new ValueError(`${shown(text)} is no address or network`, hint);
    const one = ipaddr.process(text);
    return [one, one.kind() === "ipv4" ? IPV4_BITS : IPV6_BITS];
  }
  if (!ipaddr.isValidCIDR(text) || isShort(text)) throw new ValueError(`${shown(text)} is no address or network`, hint);
  const [network, bits] = ipaddr.parseCIDR(text);
  const first = (network.kind() === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(text);
  if (first.toString() !== network.toString()) {
    throw new ValueError(
      `${shown(text)} is an address in the middle of a network`,
      `write ${first.toString()}/${bits}`,
    );
  }
  return [network, bits];
}

const IPV4_BITS = 32;
const IPV6_BITS = 128;

/** `10.1` and `0x0a000001` are addresses to some programs and not to others. */
function isShort(text: string): boolean {
  return !text.includes(":") && !/^\d{1,3}(?:\.\d{1,3}){3}(?:\/|$)/.test(text);
}

/** `fe80::1%eth0` */
function withoutZone(address: string): string {
  const at = address.indexOf("%");
  return at === -1 ? address : address.slice(0, at);
}
