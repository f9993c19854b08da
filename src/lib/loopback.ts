import { isIPv4 } from "node:net";

/** Whether a host or an address is always the machine that asks, as far as that can be told without DNS; IPv6 also as it stands in a URL. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
}
