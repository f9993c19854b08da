import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { selfSignedCertificate } from "../test/support/certificate.ts";
import type { Workshop } from "./candidates/candidate.ts";
import { writeFixtures } from "./fixtures.ts";
import { Processes } from "./lib/processes.ts";
import type { Tools } from "./lib/tools.ts";
import { type Origin, startOrigin } from "./origin.ts";
import type { CorePlan } from "./rows/row.ts";
import { Upstream } from "./upstream.ts";

/** The images, the origin that has them, and the line that leads to it, under one temporary folder. */
export interface World {
  readonly folder: string;
  readonly workshop: Workshop;
  readonly origin: Origin;
  readonly upstream: Upstream;
  /** Ends all processes and removes the folder; more than once does no harm. */
  readonly end: () => Promise<void>;
}

export interface WorldCall {
  readonly tools: Tools;
  readonly cores: CorePlan;
  readonly quick: boolean;
  /** Aborted: everything ends, and nothing is started any more. */
  readonly signal: AbortSignal;
}

export async function createWorld({ tools, cores, quick, signal }: WorldCall): Promise<World> {
  const folder = await mkdtemp(path.join(tmpdir(), "registry-cache-bench-"));
  const processes = new Processes(tools, signal);
  const stops = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 }), () => processes.endAll()];
  const end = async (): Promise<void> => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  };
  try {
    const root = path.join(folder, "origin");
    const fixtures = await writeFixtures(root, quick);
    const scratchDir = path.join(folder, "origin-scratch");
    const origin = await startOrigin(tools, processes, { root, folder: scratchDir, cores: cores.generator });
    const upstream = await Upstream.start(origin.url);
    stops.push(() => Promise.resolve(upstream.stop()));
    const certificate = await writeCertificate(folder);
    const ourDataDir = path.join(folder, "warm", "ours");
    return { folder, workshop: { tools, processes, fixtures, ourDataDir, ...certificate }, origin, upstream, end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function writeCertificate(folder: string): Promise<{ certFile: string; keyFile: string }> {
  const [certFile, keyFile] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
  const { cert, key } = selfSignedCertificate();
  await writeFile(certFile, cert);
  await writeFile(keyFile, key);
  return { certFile, keyFile };
}
