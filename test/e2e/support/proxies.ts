import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { selfSignedCertificate } from "../../support/certificate.ts";
import { accepts, freePort, HOSTNAMES, OUTER_NAME, outerAddress } from "./processes.ts";
import { toolPath } from "./tools.ts";
import type { World } from "./world.ts";

const PAGE = path.resolve(import.meta.dirname, "../../../docs/security.md");

/** A proxy in front of the cache, where TLS ends: it listens at the cache's host names. */
export interface Proxy {
  readonly port: number;
  /** PEM of the authority of its certificate. */
  readonly ca: string;
}

export interface ProxyOptions {
  /** PEM of the authority whose certificates clients must show to the proxy. */
  readonly clientsCa?: string;
}

type StartProxy = (world: World, options?: ProxyOptions) => Promise<Proxy>;

/** What docs/security.md shows for each, with names, ports and files of this run. */
export const PROXIES: Readonly<Record<"nginx" | "caddy", StartProxy>> = {
  nginx: async (world, { clientsCa } = {}) => {
    const { folder, port, ca } = await place(world, clientsCa);
    const [shown = ""] = await documented("nginx");
    const wanted = clientsCa === undefined ? shown : shown.replace(/^( *)# (ssl_client_certificate)/m, "$1$2");
    const listen = addresses(port).map((address) => `  listen ${address} ssl http2;\n`);
    const names = [...Object.values(HOSTNAMES), OUTER_NAME].join(" ");
    const server = placed(wanted, world, folder)
      .replace("  listen 443 ssl http2;\n", listen.join(""))
      .replace(/server_name .*;/, `server_name ${names};`);
    const main = `daemon off; user root; pid ${folder}/pid; error_log stderr; events {}\n`;
    const http = `http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;\n`;
    const file = path.join(folder, "nginx.conf");
    await writeFile(file, `${main}${http}${server}}\n`);
    await start(world, port, [toolPath("nginx"), "-e", "stderr", "-p", folder, "-c", file]);
    return { port, ca };
  },
  caddy: async (world, { clientsCa } = {}) => {
    const { folder, port, ca } = await place(world, clientsCa);
    const [shown = "", tls = ""] = await documented("caddyfile");
    const wanted = clientsCa === undefined ? shown : shown.replace(/^ *tls .*\n/m, tls);
    const names = [...Object.values(HOSTNAMES), OUTER_NAME].map((name) => `${name}:${port}`).join(", ");
    const site = placed(wanted, world, folder).replace(/^hub.*\{$/m, `${names} {`);
    const hosts = addresses(port).map((address) => address.replace(/:\d+$/, ""));
    const main = `{\n  admin off\n  auto_https off\n  default_bind ${hosts.join(" ")}\n}\n`;
    const file = path.join(folder, "Caddyfile");
    await writeFile(file, main + site);
    await start(world, port, [toolPath("caddy"), "run", "--adapter", "caddyfile", "--config", file]);
    return { port, ca };
  },
};

/** The blocks of that kind in the page. */
async function documented(kind: string): Promise<string[]> {
  const page = await readFile(PAGE, "utf8");
  return [...page.matchAll(new RegExp(`^\`\`\`${kind}\\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);
}

function placed(text: string, { cache }: World, folder: string): string {
  return text.replace("127.0.0.1:5000", cache.host).replaceAll(/[\w-]+\.pem/g, (name) => path.join(folder, name));
}

function addresses(port: number): string[] {
  const outer = outerAddress();
  return ["127.0.0.1", ...(outer === undefined ? [] : [outer])].map((host) => `${host}:${port}`);
}

/** A folder with the files that the page names. */
async function place(world: World, clientsCa = ""): Promise<Proxy & { folder: string }> {
  const folder = await world.folder("proxy");
  const { cert, key } = selfSignedCertificate([...Object.values(HOSTNAMES), OUTER_NAME]);
  const files = { "cache.pem": cert, "cache-key.pem": key, "clients-ca.pem": clientsCa };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text, { mode: 0o600 });
  return { folder, port: await freePort(), ca: cert };
}

async function start(world: World, port: number, command: readonly string[]): Promise<void> {
  const daemon = await world.runner.start(`proxy${port}`, command, { ready: () => accepts(port) });
  world.onEnd(() => daemon.stop());
}
