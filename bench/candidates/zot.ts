import { writeFile } from "node:fs/promises";
import path from "node:path";
import { answers, freePort } from "../lib/net.ts";
import type { Candidate, StartCall, Workshop } from "./candidate.ts";

/** Zot, which copies an image from its upstream when its manifest is asked for. */
export function zot(program: string, version: string): Candidate {
  return {
    name: "zot",
    caches: true,
    version: () => Promise.resolve(version),
    start: async (workshop, call) => {
      const port = await freePort();
      const config = path.join(call.scratchDir, "config.json");
      await writeFile(config, configuration(port, workshop, call));
      const url = `${call.tls ? "https" : "http"}://127.0.0.1:${port}`;
      const daemon = await workshop.processes.start({
        command: [program, "serve", config],
        cores: call.cores,
        log: path.join(call.scratchDir, "log"),
        ready: () => answers(`${url}/v2/`),
      });
      return { url, ...daemon };
    },
  };
}

function configuration(port: number, { certFile, keyFile }: Workshop, { upstream, dataDir, tls }: StartCall): string {
  return JSON.stringify({
    distSpecVersion: "1.1.1",
    storage: { rootDirectory: dataDir, gc: false },
    http: { address: "127.0.0.1", port: String(port), ...(tls ? { tls: { cert: certFile, key: keyFile } } : {}) },
    log: { level: "error" },
    extensions: { sync: { enable: true, registries: [{ urls: [upstream], onDemand: true, tlsVerify: false }] } },
  });
}
