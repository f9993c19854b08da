import type { Listen } from "../config/config.ts";
import { Access, type AccessOptions } from "./access.ts";
import { accessThere } from "./methods.ts";

/** Who may come in at each of some addresses, in their order: what `access` says, or what an address chooses of it. */
export function accessAtAddresses(
  listen: readonly Pick<Listen, "methods">[],
  { config, passwords, tokens, ...all }: AccessOptions,
): readonly Access[] {
  return listen.map((address) => {
    const there = accessThere(config, address);
    return new Access({
      ...all,
      ...there,
      passwords: there.config.htpasswd === undefined ? undefined : passwords,
      tokens: there.config.bearer ? tokens : undefined,
    });
  });
}
