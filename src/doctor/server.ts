import type { Config } from "../config/config.ts";
import { packageVersion } from "../lib/version.ts";
import { addressesCheck, askAddresses, ownPlace } from "./addresses.ts";
import { certificatesCheck } from "./certificates-check.ts";
import { clockCheck } from "./clock.ts";
import { diskCheck } from "./disk.ts";
import { type Check, ok, warning } from "./finding.ts";
import { namesCheck } from "./host-names.ts";
import { machineCheck } from "./machine.ts";
import { clientsCheck } from "./running.ts";
import { tryAll, upstreamsCheck } from "./upstreams.ts";
import { dataMark } from "./who.ts";

export interface ServerChecksOptions {
  /** What the configuration itself gives reason to warn of. */
  readonly warnings: readonly string[];
  /** Upstreams are not asked. */
  readonly isOffline: boolean;
  readonly signal: AbortSignal;
}

/** All that is looked at on the cache's own machine, in the order in which it is told. What several of them need is asked once. */
export function serverChecks(config: Config, { warnings, isOffline, signal }: ServerChecksOptions): readonly Check[] {
  const own = { version: packageVersion(), data: dataMark(config.dataDir) };
  const asked = askAddresses(config);
  const tried = isOffline ? undefined : tryAll(config, signal);
  const places = config.listen.map((listen) => ownPlace(config, listen));
  return [
    { title: "Configuration", look: async () => judgeConfiguration(config, warnings) },
    addressesCheck(asked, own),
    certificatesCheck(config, { asked, isOffline, nowMs: Date.now() }),
    namesCheck(config, own),
    diskCheck(config.dataDir, config.minFreeDiskBytes),
    machineCheck(config.dataDir, config.workers),
    clientsCheck(asked, places),
    upstreamsCheck(tried),
    clockCheck(tried),
  ];
}

function judgeConfiguration({ source, registries }: Config, warnings: readonly string[]) {
  const count = `${registries.length} ${registries.length === 1 ? "registry" : "registries"}`;
  return [
    ok(`${source ?? "the built-in defaults (no file was found)"}: ${count}`),
    ...warnings.map((text) =>
      warning(text, "change the configuration; docs/configuration.md and docs/security.md say how"),
    ),
  ];
}
