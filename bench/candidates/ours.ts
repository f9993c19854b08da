import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { answers, freePort } from "../lib/net.ts";
import type { Candidate, StartCall, Workshop } from "./candidate.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");

/** Registry Cache as its users start it, with Docker Hub's place taken by the upstream. */
export const ours: Candidate = {
  name: "ours",
  caches: true,
  version: async () => {
    const { version } = JSON.parse(await readFile(path.join(CHECKOUT, "package.json"), "utf8")) as { version: string };
    return `Registry Cache ${version} on Node.js ${process.versions.node}`;
  },
  start: async (workshop, call) => {
    const port = await freePort();
    const config = path.join(call.scratchDir, "registry-cache.yaml");
    await writeFile(config, configuration(port, workshop, call));
    const url = `${call.tls ? "https" : "http"}://127.0.0.1:${port}`;
    const daemon = await workshop.processes.start({
      command: [path.join(CHECKOUT, "bin/registry-cache"), "serve", "--config", config],
      cores: call.cores,
      log: path.join(call.scratchDir, "log"),
      env: call.environment,
      ready: () => answers(`${url}/v2/`),
    });
    return { url, ...daemon };
  },
};

/** JSON, which is YAML too. Only what differs from the defaults; the log as quiet as that of the others. */
function configuration(port: number, { certFile, keyFile }: Workshop, call: StartCall): string {
  return JSON.stringify({
    listen: `127.0.0.1:${port}`,
    data_dir: call.dataDir,
    log: { level: "error" },
    ...(call.workers > 1 ? { workers: call.workers } : {}),
    ...(call.tls ? { tls: { mode: "files", cert: certFile, key: keyFile } } : {}),
    registries: { dockerhub: { upstream: call.upstream, allow_private_addresses: true } },
  });
}
