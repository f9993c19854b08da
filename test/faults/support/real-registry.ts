import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { freePort } from "../../e2e/support/processes.ts";
import { toolPath } from "../../e2e/support/tools.ts";
import { sha256 } from "../../support/bytes.ts";
import { type HasAfter, tempDir } from "../../support/temp.ts";

/** Debian's `docker-registry`, which takes pushes and can be killed. */
export interface RealRegistry {
  readonly url: string;
  /** SIGKILL, then a new one on the same port and data. */
  killAndRestart(): Promise<void>;
  /** Replaces what users it knows: lines of `htpasswd -B`. */
  setUsers(lines: string): Promise<void>;
  pushBlob(repository: string, bytes: Uint8Array, authorization?: string): Promise<string>;
  /** A manifest of one layer, which is its config as well. */
  pushImage(repository: string, tag: string, layer: Uint8Array, authorization?: string): Promise<Buffer>;
  /** Requests in its access log that were answered with this status. */
  countAnswers(status: number): Promise<number>;
}

const READY_TRIES_MAX = 600;
const BETWEEN_TRIES_MS = 50;

export async function startRealRegistry(t: HasAfter, options: { users?: string } = {}): Promise<RealRegistry> {
  const folder = await tempDir(t);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const [config, users, log] = ["config.yml", "users", "access.log"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(users, options.users ?? "");
  const auth = options.users === undefined ? {} : { auth: { htpasswd: { realm: "test", path: users } } };
  await writeFile(config, configuration(port, folder, auth));
  let child = await startProgram(t, [toolPath("docker-registry"), "serve", config], url, log);
  return {
    url,
    killAndRestart: async () => {
      await end(child);
      child = await startProgram(t, [toolPath("docker-registry"), "serve", config], url, log);
    },
    setUsers: async (lines) => await writeFile(users, lines),
    pushBlob: async (repository, bytes, authorization) => await pushBlob(url, repository, bytes, authorization),
    pushImage: async (repository, tag, layer, authorization) => {
      const digest = await pushBlob(url, repository, layer, authorization);
      const descriptor = { mediaType: "application/octet-stream", digest, size: layer.length };
      const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor, layers: [descriptor] };
      const bytes = Buffer.from(JSON.stringify(manifest));
      const headers = { "content-type": OCI_MANIFEST, ...authorized(authorization) };
      const put = await fetch(`${url}/v2/${repository}/manifests/${tag}`, { method: "PUT", headers, body: bytes });
      assert.equal(put.status, 201, await put.text());
      return bytes;
    },
    countAnswers: async (status) => (await readFile(log, "utf8")).split(`" ${status} `).length - 1,
  };
}

/** YAML is a superset of JSON. */
function configuration(port: number, root: string, auth: object): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "error", accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(root, "data") } },
    http: { addr: `127.0.0.1:${port}`, secret: "only for this run" },
    ...auth,
  });
}

/** Runs until it is ended or the test ends; its output is appended to the log. */
export async function startProgram(t: HasAfter, command: readonly string[], url: string, log: string) {
  const [file = "", ...args] = command;
  const child = spawn("sh", ["-c", 'exec "$0" "$@" >>"$LOG" 2>&1', file, ...args], { env: { LOG: log } });
  t.after(async () => await end(child));
  for (let tries = 0; !(await answers(url)); tries += 1) {
    if (child.exitCode !== null || tries > READY_TRIES_MAX) throw new Error(`${file}\n${await readFile(log, "utf8")}`);
    await delay(BETWEEN_TRIES_MS);
  }
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** Whatever it says. */
async function answers(url: string): Promise<boolean> {
  return await fetch(`${url}/v2/`).then(
    async (response) => (await response.body?.cancel(), true),
    () => false,
  );
}

function authorized(authorization: string | undefined): Record<string, string> {
  return authorization === undefined ? {} : { authorization };
}

async function pushBlob(url: string, repository: string, bytes: Uint8Array, authorization?: string): Promise<string> {
  const digest = sha256(bytes);
  const headers = authorized(authorization);
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: "POST", headers });
  assert.equal(begun.status, 202, await begun.text());
  const place = new URL(begun.headers.get("location") ?? "", url);
  place.searchParams.set("digest", digest);
  const put = await fetch(place, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream", ...headers },
    body: Buffer.from(bytes),
  });
  assert.equal(put.status, 201, await put.text());
  return digest;
}
