import { writeFile } from "node:fs/promises";
import path from "node:path";
import { blobFile, blobPath, type Image, MANIFEST_TYPE, manifestPath } from "../fixtures.ts";
import { answers, freePort } from "../lib/net.ts";
import type { Candidate, StartCall, Workshop } from "./candidate.ts";

/** The physical limit of held bytes: our own files, given out by the kernel. */
export function nginxSendfile(version: string): Candidate {
  return nginx("nginx sendfile", version, false, (workshop) => locations(workshop.fixtures.hot, workshop.ourDataDir));
}

/** A plain HTTP cache, which knows nothing of digests. */
export function nginxProxyCache(version: string): Candidate {
  return nginx("nginx proxy_cache", version, true, (_workshop, { upstream }) => [
    "location /v2/ {",
    `  proxy_pass ${upstream};`,
    "  proxy_http_version 1.1;",
    '  proxy_set_header Connection "";',
    "  proxy_cache kept;",
    "  proxy_cache_key $uri;",
    "  proxy_cache_valid 200 1d;",
    // One transfer a URL: the others wait until it is complete. Its default lets them all through after 5 s.
    "  proxy_cache_lock on;",
    "  proxy_cache_lock_timeout 1h;",
    "  proxy_cache_lock_age 1h;",
    "}",
  ]);
}

function nginx(
  name: Candidate["name"],
  version: string,
  caches: boolean,
  content: (workshop: Workshop, call: StartCall) => readonly string[],
): Candidate {
  return {
    name,
    caches,
    version: () => Promise.resolve(version),
    start: async (workshop, call) => {
      const port = await freePort();
      const config = path.join(call.scratchDir, "nginx.conf");
      await writeFile(config, configuration(port, workshop, call, content(workshop, call)));
      const url = `${call.tls ? "https" : "http"}://127.0.0.1:${port}`;
      const daemon = await workshop.processes.start({
        // Debian's first opens a log that only root may write, wherever the configuration has it.
        command: [workshop.tools.path("nginx"), "-e", "stderr", "-p", call.scratchDir, "-c", config],
        cores: call.cores,
        log: path.join(call.scratchDir, "log"),
        ready: () => answers(`${url}/ready`),
      });
      return { url, ...daemon };
    },
  };
}

function configuration(port: number, workshop: Workshop, call: StartCall, content: readonly string[]): string {
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${call.scratchDir}/${kind};`,
  );
  return [
    "daemon off;",
    `worker_processes ${call.workers};`,
    `pid ${call.scratchDir}/nginx.pid;`,
    "error_log stderr error;",
    // The files belong to whoever runs this.
    ...(process.getuid?.() === 0 ? ["user root;"] : []),
    "events { worker_connections 4096; }",
    "http {",
    ...temp,
    "access_log off;",
    "sendfile on;",
    "tcp_nopush on;",
    "keepalive_requests 1000000;",
    "open_file_cache max=10000;",
    "default_type application/octet-stream;",
    `proxy_cache_path ${call.dataDir}/cache levels=1:2 keys_zone=kept:10m max_size=100g inactive=1d use_temp_path=off;`,
    "server {",
    `listen 127.0.0.1:${port}${call.tls ? " ssl" : ""} backlog=4096;`,
    ...(call.tls ? [`ssl_certificate ${workshop.certFile};`, `ssl_certificate_key ${workshop.keyFile};`] : []),
    'location = /ready { return 200 "ready"; }',
    ...content,
    "}",
    "}",
    "",
  ].join("\n");
}

/** One location for each URL of the image, as exact as possible: nothing is searched for. */
function locations(image: Image, root: string): string[] {
  const at = (url: string, digest: string, type: string): string =>
    `location = ${url} { alias ${blobFile(root, digest)}; default_type ${type}; types {} ` +
    `add_header Docker-Content-Digest ${digest}; }`;
  const { manifest } = image;
  return [
    at(manifestPath(image), manifest.digest, MANIFEST_TYPE),
    at(manifestPath(image, manifest.digest), manifest.digest, MANIFEST_TYPE),
    ...[image.config, ...image.layers].map((blob) =>
      at(blobPath(image, blob), blob.digest, "application/octet-stream"),
    ),
  ];
}
