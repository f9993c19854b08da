import type { Config, Listen } from "../config/config.ts";
import { type Answered, type Place, whoIsAt, whyNoListening } from "./ask-us.ts";
import { type Check, type Finding, ok, problem, warning } from "./finding.ts";
import type { Who } from "./who.ts";

/** What is said of a listener. */
export interface AtAddress {
  /** `127.0.0.1:5000` */
  readonly address: string;
  readonly answered: Answered;
  /** Why nothing could listen there; undefined where something could. */
  readonly obstacle: string | undefined;
}

export function hasTls({ tls, acme }: Pick<Config, "tls" | "acme">, listen: Listen): boolean {
  return listen.tls && (tls !== undefined || acme !== undefined);
}

/** Where this machine's own programs reach a listener. */
export function ownPlace(config: Config, listen: Listen): Place {
  const everywhere: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  return { name: everywhere[listen.host] ?? listen.host, port: listen.port, tls: hasTls(config, listen) };
}

export async function askAddresses(config: Config): Promise<readonly AtAddress[]> {
  return await Promise.all(
    config.listen.map(async (listen) => {
      const { host, port } = listen;
      const answered = await whoIsAt(ownPlace(config, listen));
      const obstacle = answered.kind === "nobody" ? await whyNoListening(host, port) : undefined;
      return { address: `${host.includes(":") ? `[${host}]` : host}:${port}`, answered, obstacle };
    }),
  );
}

export function addressesCheck(asked: Promise<readonly AtAddress[]>, own: Who): Check {
  return { title: "Addresses", look: async () => (await asked).flatMap((one) => judgeAddress(one, own)) };
}

/** Whether it is this cache, in this version, that answers there. */
export function judgeAddress({ address, answered, obstacle }: AtAddress, own: Who): readonly Finding[] {
  switch (answered.kind) {
    case "cache":
      return [ofCache(address, answered.who, own), ...ofVersion(address, answered.who, own)];
    case "older":
      return [warning(`what answers at ${address} is like a cache of another version`, "restart the cache")];
    case "other":
      return [
        problem(
          `another program answers at ${address}: ${answered.what}`,
          `stop it (ss -ltnp names it), or choose another port with \`listen\``,
        ),
      ];
    case "nobody":
      return [ofNobody(address, answered.code, obstacle)];
  }
}

function ofCache(address: string, who: Who, own: Who): Finding {
  if (who.data === own.data) return ok(`${address}: this cache answers`);
  return problem(
    `a Registry Cache with another data folder answers at ${address}`,
    "name the configuration that it runs with (--config), or choose another port with `listen`",
  );
}

function ofVersion(address: string, { version }: Who, own: Who): readonly Finding[] {
  if (version === own.version) return [];
  return [warning(`version ${version} runs at ${address}, and this program is ${own.version}`, "restart the cache")];
}

function ofNobody(address: string, code: string, obstacle: string | undefined): Finding {
  switch (obstacle) {
    case undefined:
      return problem(
        `nothing listens on ${address}`,
        "start the cache: registry-cache serve, or systemctl start registry-cache",
      );
    case "EADDRINUSE":
      return problem(
        `something listens on ${address} and does not answer (${code})`,
        "stop it (ss -ltnp names it), or choose another port with `listen`",
      );
    case "EACCES":
      return problem(
        `this user may not listen on ${address}`,
        "run it with the right to ports below 1024: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or choose a higher port",
      );
    case "EADDRNOTAVAIL":
      return problem(
        `${address} is no address of this machine`,
        "listen on one of its addresses, or on 0.0.0.0 for all",
      );
    default:
      return problem(
        `nothing can listen on ${address} (${obstacle})`,
        "write an address of this machine into `listen`",
      );
  }
}
