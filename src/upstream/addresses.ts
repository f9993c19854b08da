import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** RFC 6052, section 2.1: the last 32 bits are the IPv4 address that a NAT64 gateway connects to. */
const NAT64 = ipaddr.IPv6.parse("64:ff9b::");
const NAT64_PREFIX_BITS = 96;

/**
 * Whether an IP address belongs to the public internet. Loopback, link-local (cloud metadata services), private,
 * carrier-grade and reserved ranges do not, however they are written; nor does what is no address at all.
 */
export function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.process(text);
  return embeddedIPv4(address).range() === "unicast";
}

/** IPv6-only networks reach every IPv4 registry through NAT64, so the range as such can be neither public nor private. */
function embeddedIPv4(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address instanceof ipaddr.IPv4 || !address.match(NAT64, NAT64_PREFIX_BITS)) return address;
  return new ipaddr.IPv4(address.toByteArray().slice(12));
}

/** The address in a URL's host name where that is a literal one (WHATWG URLs have normalised `0x7f.1`), else undefined. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname;
  return isIP(bare) === 0 ? undefined : bare;
}
