import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { selfSignedCertificate } from "../../support/certificate.ts";
import type { Origin } from "./origin.ts";
import {
  accepts,
  answers,
  type Daemon,
  freePort,
  HOSTNAMES,
  OUTER_NAME,
  outerAddress,
  type Runner,
} from "./processes.ts";

/** Certificate and key, beside the configuration. */
const TLS_FILE = "tls.pem";

/** A certificate that is had from an authority. */
export interface Acme {
  /** The configuration's `tls`, besides the mode. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** PEM that it is trusted by. */
  readonly ca: string;
}

export interface CacheOptions {
  readonly tls?: boolean | Acme;
  /** One that is free by default. */
  readonly port?: number;
  /** Whether it also listens on the machine's own address, by the name OUTER_NAME. */
  readonly isOuter?: boolean;
  /** The configuration's `trusted_proxies`. */
  readonly trustedProxies?: readonly string[];
  /** The configuration's `access`. */
  readonly access?: Readonly<Record<string, unknown>>;
  /** Users of the upstream, which gives nothing to anybody else; their credentials are passed through. */
  readonly originUsers?: Readonly<Record<string, string>>;
  /** Texts of files beside the configuration, by their names. */
  readonly files?: Readonly<Record<string, string>>;
}

const CHECKOUT = path.resolve(import.meta.dirname, "../../..");

/** Registry Cache as a user starts it, with three registries whose upstream is the origin. */
export class Cache {
  /** PEM of the authority of its certificate, where it speaks TLS. */
  readonly ca: string | undefined;
  readonly port: number;
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  readonly #start: () => Promise<Daemon>;
  #daemon: Daemon;

  private constructor(port: number, ca: string | undefined, start: () => Promise<Daemon>, daemon: Daemon) {
    this.ca = ca;
    this.port = port;
    this.host = `127.0.0.1:${port}`;
    this.#start = start;
    this.#daemon = daemon;
  }

  static async start(
    runner: Runner,
    origin: Origin,
    { port: wanted, tls = false, isOuter = false, trustedProxies = [], access, originUsers, files = {} }: CacheOptions,
  ): Promise<Cache> {
    const port = wanted ?? (await freePort());
    const dataDir = path.join(runner.folder, "cache");
    await mkdir(dataDir);
    const config = path.join(runner.folder, "registry-cache.yaml");
    const certificate =
      tls === true
        ? selfSignedCertificate(["localhost", "127.0.0.1", OUTER_NAME, ...Object.values(HOSTNAMES)])
        : undefined;
    const acme = typeof tls === "object" ? tls : undefined;
    if (certificate !== undefined) {
      await writeFile(path.join(runner.folder, TLS_FILE), certificate.cert + certificate.key, { mode: 0o600 });
    }
    for (const [name, text] of Object.entries(files))
      await writeFile(path.join(runner.folder, name), text, { mode: 0o600 });
    await writeFile(
      config,
      configuration({ port, dataDir, upstream: origin.url, tls, isOuter, trustedProxies, access, originUsers }),
    );
    const command = [path.join(CHECKOUT, "bin/registry-cache"), "serve", "--config", config];
    const url = `${tls ? "https" : "http"}://127.0.0.1:${port}/readyz`;
    // One by ACME comes later, and is for names only.
    const ready = (): Promise<boolean> => (acme === undefined ? answers(url, certificate?.cert) : accepts(port));
    // The Node.js that runs this test is first in the cache's PATH too.
    const env = { PATH: `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}` };
    const start = (): Promise<Daemon> => runner.start("serve", command, { ready, env });
    return new Cache(port, certificate?.cert ?? acme?.ca, start, await start());
  }

  /** `HOSTNAME:PORT`, a name that means one registry. */
  named(registry: keyof typeof HOSTNAMES): string {
    return `${HOSTNAMES[registry]}:${this.port}`;
  }

  /** Ends it without a chance to tidy up, and starts it again over the same data. */
  async killAndRestart(): Promise<void> {
    await this.#daemon.kill();
    this.#daemon = await this.#start();
  }

  /** All that it has logged so far. */
  async log(): Promise<string> {
    return await readFile(this.#daemon.log, "utf8");
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }
}

interface Configuration {
  readonly access: CacheOptions["access"];
  readonly originUsers: CacheOptions["originUsers"];
  readonly trustedProxies: readonly string[];
  readonly port: number;
  readonly dataDir: string;
  readonly upstream: string;
  readonly tls: boolean | Acme;
  readonly isOuter: boolean;
}

/** JSON, which is YAML too. Every tag is asked about at once again, so that the answers without an upstream are stale ones. */
function configuration({
  port,
  dataDir,
  upstream,
  tls,
  isOuter,
  trustedProxies,
  access,
  originUsers,
}: Configuration): string {
  // Docker takes any certificate from a name that leads to loopback.
  const hubNames = isOuter ? [OUTER_NAME] : [];
  const passing = originUsers === undefined ? {} : { private_content: "pass_through" };
  const tags = [{ match: "*", revalidate_after: "0s" }];
  return JSON.stringify({
    listen: ["127.0.0.1", ...(isOuter ? [outerAddress()] : [])].map((host) => `${host}:${port}`),
    data_dir: dataDir,
    trusted_proxies: trustedProxies,
    ...(access === undefined ? {} : { access }),
    tls: tlsOf(tls),
    registries: {
      dockerhub: { upstream, allow_private_addresses: true, hostnames: [HOSTNAMES.hub, ...hubNames], tags, ...passing },
      ghcr: { upstream, allow_private_addresses: true, hostnames: [HOSTNAMES.ghcr], tags, ...passing },
      corp: { serves: "registry.corp.example", upstream, hostnames: [HOSTNAMES.corp], tags, ...passing },
    },
  });
}

function tlsOf(tls: boolean | Acme): Record<string, unknown> {
  if (typeof tls === "object") return { mode: "acme", ...tls.settings };
  return tls ? { mode: "files", cert: TLS_FILE, key: TLS_FILE } : { mode: "off" };
}
