import { Access } from "../../src/access/access.ts";
import { strangers } from "../../src/server/handler.ts";
import { Proxies } from "../../src/server/proxies.ts";
import { OPEN_ACCESS } from "./cache.ts";

const OPEN = new Access({
  config: OPEN_ACCESS,
  registries: [],
  isUser: () => false,
  passwords: undefined,
  tokens: undefined,
});

/** Whoever connects, and all of them may come in. */
export const ANYBODY = strangers(new Proxies([]), OPEN);
