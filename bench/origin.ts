import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { registryYaml } from "./candidates/distribution.ts";
import { answers, freePort } from "./lib/net.ts";
import type { Cores, Daemon, Processes } from "./lib/processes.ts";
import type { Tools } from "./lib/tools.ts";

export interface Origin extends Daemon {
  readonly url: string;
}

/** The upstream: Debian's docker-registry over a folder that already has the images. */
export async function startOrigin(
  tools: Tools,
  processes: Processes,
  { root, folder, cores }: { root: string; folder: string; cores: Cores },
): Promise<Origin> {
  const port = await freePort();
  const config = path.join(folder, "origin.yml");
  await mkdir(folder, { recursive: true });
  await writeFile(config, registryYaml(port, root));
  const url = `http://127.0.0.1:${port}`;
  const daemon = await processes.start({
    command: [tools.path("docker-registry"), "serve", config],
    cores,
    log: path.join(folder, "origin.log"),
    ready: () => answers(`${url}/v2/`),
  });
  return { url, ...daemon };
}
