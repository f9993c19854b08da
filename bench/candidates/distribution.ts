import { writeFile } from "node:fs/promises";
import path from "node:path";
import { answers, freePort } from "../lib/net.ts";
import type { Candidate, CandidateName, StartCall, Workshop } from "./candidate.ts";

/** A registry of the distribution project as a pull-through cache: version 2 of Debian, or version 3. */
export function distribution(name: CandidateName, program: string, version: string): Candidate {
  return {
    name,
    caches: true,
    version: () => Promise.resolve(version),
    start: async (workshop, call) => {
      const port = await freePort();
      const config = path.join(call.scratchDir, "config.yml");
      await writeFile(config, configuration(port, workshop, call));
      const url = `${call.tls ? "https" : "http"}://127.0.0.1:${port}`;
      const daemon = await workshop.processes.start({
        command: [program, "serve", config],
        cores: call.cores,
        log: path.join(call.scratchDir, "log"),
        // Version 3 sends traces to a collector otherwise.
        env: { OTEL_TRACES_EXPORTER: "none" },
        ready: () => answers(`${url}/v2/`),
      });
      return { url, ...daemon };
    },
  };
}

function configuration(port: number, { certFile, keyFile }: Workshop, { upstream, dataDir, tls }: StartCall): string {
  return registryYaml(port, dataDir, {
    http: tls ? { tls: { certificate: certFile, key: keyFile } } : {},
    more: { proxy: { remoteurl: upstream } },
  });
}

/** JSON, which is YAML too: with the descriptor cache of Debian's own configuration, and without a line for each request. */
export function registryYaml(
  port: number,
  root: string,
  { http = {}, more = {} }: { http?: object; more?: object } = {},
): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { cache: { blobdescriptor: "inmemory" }, filesystem: { rootdirectory: root }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: "only for this run", ...http },
    ...more,
  });
}
