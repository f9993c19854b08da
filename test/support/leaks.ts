import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { CLIENTS } from "../../src/connect/clients.ts";
import { type Answer, type Ask, ask } from "./client.ts";
import { runCommand, startCommand } from "./command.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./fake-upstream.ts";
import type { Life } from "./life.ts";
import { tempDir } from "./temp.ts";

/** How a client asks. */
export interface WayIn {
  readonly prefix?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly identity?: { readonly cert: string; readonly key: string };
}

/** A configuration, who there is around it, and what may be seen where. */
export interface Scenario {
  /** Of the registries; each has an upstream of its own. */
  readonly names: Readonly<Record<string, string>>;
  readonly upstreams: Readonly<Record<string, FakeUpstreamOptions>>;
  /** Of the cache; `urls` are those of the upstreams. */
  readonly config: (workers: number, urls: Readonly<Record<string, string>>) => string;
  /** Beside the configuration; the cache's certificate is its own authority. */
  readonly files: Readonly<Record<string, string>> & { readonly "cert.pem": string };
  readonly environment: Readonly<Record<string, string>>;
  /** Asks for tokens of ours, which go into `seen`, and gives one back. */
  readonly logIn: (url: string, seen: Seen) => Promise<string>;
  readonly ways: (token: string) => Readonly<Record<string, WayIn>>;
  /** Headers and a query that every request has. */
  readonly always: Readonly<Record<string, string>>;
  readonly query: string;
}

/** Everything that was seen anywhere. */
export interface Seen {
  /** Of all hosts of all upstreams, one text a request. */
  readonly heard: {
    readonly upstream: string;
    readonly role: string;
    readonly authorization: string;
    readonly rest: string;
  }[];
  /** One text an answer, but for those that a token was asked for by. */
  readonly answers: string[];
  readonly statuses: Map<string, Set<number>>;
  log: string;
  check: string;
  /** Of the data folder, by path. */
  readonly files: Map<string, Buffer>;
  keyMode: number;
  environments: string;
  /** Tokens that upstreams were shown, those that we have issued, and signatures of content networks. */
  readonly bearers: Set<string>;
  readonly ours: Set<string>;
  readonly signatures: Set<string>;
}

/** An upstream that answers with whatever it was told. */
function reflecting(status: number) {
  return (req: IncomingMessage, res: ServerResponse) => {
    const said = `${req.headers.authorization} ${req.url}`;
    res.writeHead(status, {
      "Content-Type": "application/json",
      "X-Reflected": said,
      "Docker-Distribution-Api-Version": said,
      Warning: `299 - "${said}"`,
    });
    res.end(JSON.stringify({ errors: [{ code: "DENIED", message: said, detail: said }], details: said }));
  };
}

const STATES = ["held", "r401", "r403", "r500", "elsewhere"] as const;
/** Of each upstream. */
export const IMAGES = STATES.map((state) => `library/${state}`);

async function startUpstream(life: Life, options: FakeUpstreamOptions): Promise<FakeUpstream> {
  const upstream = await startFakeUpstream(options);
  life.after(async () => await upstream.stop());
  for (const image of IMAGES) upstream.addImage(image, "1", { seed: image });
  // The host that the registry leads to refuses.
  for (const digest of blobsOf("elsewhere")) {
    upstream.script({ role: "cdn", path: digest }, { kind: "answer", handler: reflecting(403), times: Infinity });
  }
  for (const status of [401, 403, 500]) {
    upstream.script(
      { role: "registry", path: `r${status}/`, authorized: true },
      { kind: "answer", handler: reflecting(status), times: Infinity },
    );
    if (options.auth !== undefined) continue;
    upstream.script(
      { role: "registry", path: `r${status}/` },
      { kind: "answer", handler: reflecting(status), times: Infinity },
    );
  }
  return upstream;
}

/** Every way in, on every kind of question, in every state of the upstream; then what was seen of it. */
export async function tryEverything(life: Life, scenario: Scenario, workers: number): Promise<Seen> {
  await rememberDigests();
  const folder = await tempDir(life);
  const upstreams: Record<string, FakeUpstream> = {};
  for (const [id, its] of Object.entries(scenario.upstreams)) upstreams[id] = await startUpstream(life, its);
  const urls = Object.fromEntries(Object.entries(upstreams).map(([id, { url }]) => [id, url]));
  const files = { ...scenario.files, "registry-cache.yaml": scenario.config(workers, urls) };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const options = { cwd: folder, environment: scenario.environment };
  const seen: Seen = {
    heard: [],
    answers: [],
    statuses: new Map(),
    log: "",
    check: "",
    files: new Map(),
    keyMode: 0,
    environments: "",
    bearers: new Set(),
    ours: new Set(),
    signatures: new Set(),
  };
  for (const more of [[], ["--json"]]) {
    const { out, err, exitCode } = await runCommand(life, ["check", ...more], options);
    assert.equal(exitCode, 0, err);
    seen.check += out + err;
  }
  const command = startCommand(life, ["serve"], options);
  const [, port = ""] = await command.said(/"urls":\["https:\/\/127\.0\.0\.1:(\d+)"\]/);
  const url = `https://127.0.0.1:${port}`;
  const token = await scenario.logIn(url, seen);
  const ways = Object.entries(scenario.ways(token));
  const pull = async () => {
    for (const path of pathsOf(scenario)) {
      await Promise.all(ways.map(async ([who, way]) => note(seen, who, path, await send(url, way, path, scenario))));
    }
  };
  // Missed, then held.
  await pull();
  await pull();
  if (workers > 1) seen.environments = await environmentsOfChildren(command.pid);
  await Promise.all(Object.values(upstreams).map(async (one) => await one.stop()));
  await pull();
  command.signal("SIGTERM");
  const { out, err } = await command.ended();
  seen.log = out + err;
  for (const [id, { requests }] of Object.entries(upstreams)) hear(seen, id, requests);
  seen.keyMode = (await stat(join(folder, "data", "token-key"))).mode & 0o777;
  for (const file of await readdir(join(folder, "data"), { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    seen.files.set(path.slice(folder.length), await readFile(path));
  }
  return seen;
}

/** Each kind of question, of each registry, in each state. */
function pathsOf({ names }: Scenario): string[] {
  const ofRegistries = Object.values(names).flatMap((serves) =>
    STATES.flatMap((state) => {
      const name = `/v2/${serves}/library/${state}`;
      return [`${name}/manifests/1`, `${name}/tags/list`, ...blobsOf(state).map((digest) => `${name}/blobs/${digest}`)];
    }),
  );
  const local = [
    "/v2/",
    "/v2/_catalog",
    "/",
    "/summary",
    "/metrics",
    "/api/v1/bypassing",
    "/api/v1/status",
    "/api/v1/registries",
    "/api/v1/images",
    "/api/v1/pins",
    "/api/v1/nothing",
    "/nothing",
    "/v2/library/held/manifests/1",
    "/connect",
    ...CLIENTS.map(({ name }) => `/connect/${name}`),
  ];
  return [...ofRegistries, ...local, "/v2/ghcr.io/UPPER/manifests/1", "/v2/unknown.example/a/manifests/1"];
}

const digests = new Map<string, string[]>();

function blobsOf(state: string): string[] {
  return digests.get(state) ?? [];
}

async function send(url: string, way: WayIn, path: string, { always, files, query }: Scenario): Promise<Answer> {
  const { prefix = "", headers, identity } = way;
  const options: Ask = { ca: files["cert.pem"], headers: { ...always, ...headers } };
  return await ask(`${url}${prefix}${path}?${query}`, { ...options, ...identity });
}

export function note(seen: Seen, who: string, path: string, { status, headers, body }: Answer): void {
  seen.answers.push(`${who} ${path}: ${status} ${JSON.stringify(headers)} ${body.toString("latin1")}`);
  seen.statuses.set(who, (seen.statuses.get(who) ?? new Set()).add(status));
}

function hear(seen: Seen, upstream: string, requests: FakeUpstream["requests"]): void {
  for (const { role, method, path, headers } of requests) {
    const { authorization = "", ...others } = headers;
    seen.heard.push({ upstream, role, authorization, rest: `${method} ${path} ${JSON.stringify(others)}` });
    const bearer = /^Bearer (.+)$/.exec(authorization)?.[1];
    if (bearer !== undefined) seen.bearers.add(bearer);
    const signature = /[?&]sig=([0-9a-f]+)/.exec(path)?.[1];
    if (signature !== undefined) seen.signatures.add(signature);
  }
}

async function environmentsOfChildren(pid: number): Promise<string> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter(Boolean);
  assert.ok(children.length > 0);
  return (
    await Promise.all(
      children.map(
        async (child) =>
          (await readFile(`/proc/${child}/environ`, "utf8")) + (await readFile(`/proc/${child}/cmdline`, "utf8")),
      ),
    )
  ).join("");
}

/** A secret as it would be seen: as it is, in a URL, in hexadecimal, and in Base64, whatever stands before it. */
function needles(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const aligned = [0, 1, 2].map((ahead) =>
    Buffer.concat([Buffer.alloc(ahead), bytes])
      .toString("base64")
      // The letters at both ends have a part of their neighbours in them.
      .replace(/=+$/, "")
      .slice(ahead === 0 ? 0 : ahead + 1, -2),
  );
  return [secret, encodeURIComponent(secret), bytes.toString("hex"), ...aligned].filter((one) => one.length >= 8);
}

/** Fails where the secret is in the text, in whatever form. */
export function assertNot(secret: string, text: string, what: string): void {
  for (const needle of needles(secret)) {
    const at = text.indexOf(needle);
    assert.equal(at, -1, `${what}: ${text.slice(Math.max(0, at - SHOWN_AROUND), at + SHOWN_AROUND)}`);
  }
}

const SHOWN_AROUND = 200;

/** The same images at every upstream, by their seeds. */
async function rememberDigests(): Promise<void> {
  const upstream = await startFakeUpstream();
  for (const state of STATES) {
    const { layers } = upstream.addImage(`library/${state}`, "1", { seed: `library/${state}` });
    digests.set(
      state,
      layers.slice(0, 1).map(({ digest }) => digest),
    );
  }
  await upstream.stop();
}
