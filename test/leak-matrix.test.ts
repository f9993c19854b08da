import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";
import { type Ask, type Answer, ask } from "./support/client.ts";
import { selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { runCommand, startCommand } from "./support/command.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import { Life } from "./support/life.ts";
import { tempDir } from "./support/temp.ts";
import { basic } from "./support/whole.ts";

/** What clients say, right or wrong, and what nobody but them and us may ever see. */
const OF_CLIENTS = {
  "a password": "correct-horse-battery",
  "a wrong password": "wrong-horse-battery",
  "a password for Docker Hub": "hub-password-of-somebody",
  "a wrong token": `${Buffer.from('{"name":"me","isAnonymous":false}').toString("base64url")}.wrong-signature-of-it`,
  "a secret path": "secret-path-of-the-lab-0123456789",
  "a wrong secret path": "wrong-secret-path-0123456789-abcdef",
  "a cookie": "cookie-of-the-client",
  "a password for a proxy": "password-for-a-proxy",
  "a query": "secret-in-a-query",
} as const;
/** What we say to upstreams. */
const OF_UPSTREAMS = {
  "the password for dockerhub": "upstream-password-1",
  "the token for corp": "upstream-token-2",
  "the password for the proxy": "proxy-password-3",
} as const;

const HASH = hashSync(OF_CLIENTS["a password"], 4);
const server = selfSignedCertificate();
const authority = testAuthority();
const [ours, foreign] = [authority.issue("host-1"), testAuthority("another authority").issue("host-2")];

interface WayIn {
  readonly prefix?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly identity?: { readonly cert: string; readonly key: string };
}

function waysIn(token: string): Readonly<Record<string, WayIn>> {
  const docker = { "User-Agent": "docker/28.0.1 go/go1.23.6 UpstreamClient(Go)" };
  const path = OF_CLIENTS["a secret path"];
  return {
    "says nothing": {},
    "has a password": { headers: { Authorization: basic("me", OF_CLIENTS["a password"]) } },
    "has a wrong password": { headers: { Authorization: basic("me", OF_CLIENTS["a wrong password"]) } },
    "has a password for Docker Hub": {
      headers: { ...docker, Authorization: basic("hubuser", OF_CLIENTS["a password for Docker Hub"]) },
    },
    "has a token": { headers: { Authorization: `Bearer ${token}` } },
    "has a wrong token": { headers: { Authorization: `Bearer ${OF_CLIENTS["a wrong token"]}` } },
    "has a certificate": { identity: ours },
    "has a certificate of another authority": { identity: foreign },
    "has a secret path": { prefix: `/t/${path}`, headers: { Referer: `https://localhost/t/${path}/v2/` } },
    "has a wrong secret path": { prefix: `/t/${OF_CLIENTS["a wrong secret path"]}` },
  };
}

/** Everything that was seen anywhere. */
interface Seen {
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
  /** Issued by the upstream's token service, and by ours; signatures of its content network. */
  readonly issued: Set<string>;
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
const IMAGES = STATES.map((state) => `library/${state}`);

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

const CONFIG = (workers: number, urls: Readonly<Record<string, string>>) => `
listen: 127.0.0.1:0
workers: ${workers}
data_dir: ./data
log: { level: debug, format: json }
tls: { mode: files, cert: cert.pem, key: key.pem }
access:
  basic: { htpasswd: users }
  bearer: true
  mtls: { ca: ca.pem }
  paths: [{ name: lab, token: ${OF_CLIENTS["a secret path"]} }]
registries:
  dockerhub:
    upstream: ${urls["dockerhub"]}
    username: upstream-user
    private_content: shared
    shared: ["**"]
    realms: [127.0.0.1]
    allow_private_addresses: true
    tags: [{ match: "*", revalidate_after: always }]
  corp:
    serves: corp.example
    upstream: ${urls["corp"]}
    private_content: shared
    shared: ["**"]
    realms: [127.0.0.1]
    allow_private_addresses: true
  open: { serves: open.example, upstream: "${urls["open"]}", anonymous: true, allow_private_addresses: true }
`;

/** Every way in, on every kind of question, in every state of the upstream; then what was seen of it. */
async function tryEverything(life: Life, workers: number): Promise<Seen> {
  const folder = await tempDir(life);
  const upstreams = {
    dockerhub: await startUpstream(life, {
      auth: "bearer",
      users: { "upstream-user": OF_UPSTREAMS["the password for dockerhub"] },
      anonymous: false,
      redirectBlobs: true,
      token: { expiresInS: 300 },
    }),
    corp: await startUpstream(life, {
      auth: "bearer",
      anonymous: false,
      bearerTokens: [OF_UPSTREAMS["the token for corp"]],
      redirectBlobs: true,
    }),
    open: await startUpstream(life, {}),
  };
  const urls = Object.fromEntries(Object.entries(upstreams).map(([id, { url }]) => [id, url]));
  const files = {
    "registry-cache.yaml": CONFIG(workers, urls),
    "cert.pem": server.cert,
    "key.pem": server.key,
    "ca.pem": authority.cert,
    users: `me:${HASH}\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const options = {
    cwd: folder,
    environment: {
      REGISTRY_CACHE_DOCKERHUB_PASSWORD: OF_UPSTREAMS["the password for dockerhub"],
      REGISTRY_CACHE_CORP_TOKEN: OF_UPSTREAMS["the token for corp"],
      // Loopback is reached without it.
      HTTP_PROXY: `http://proxy-user:${OF_UPSTREAMS["the password for the proxy"]}@127.0.0.1:9`,
      https_proxy: `http://proxy-user:${OF_UPSTREAMS["the password for the proxy"]}@127.0.0.1:9`,
    },
  };
  const seen: Seen = {
    heard: [],
    answers: [],
    statuses: new Map(),
    log: "",
    check: "",
    files: new Map(),
    keyMode: 0,
    environments: "",
    issued: new Set(),
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
  const token = await ourToken(url, seen);
  const ways = Object.entries(waysIn(token));
  const pull = async () => {
    for (const path of pathsOf(upstreams)) {
      await Promise.all(ways.map(async ([who, way]) => note(seen, who, path, await send(url, way, path))));
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

async function ourToken(url: string, seen: Seen): Promise<string> {
  const headers = { Authorization: basic("me", OF_CLIENTS["a password"]) };
  const form = { grant_type: "password", username: "me", password: OF_CLIENTS["a password"] };
  const byForm = { method: "POST", body: new URLSearchParams(form).toString() };
  for (const how of [{ headers }, byForm]) {
    const { body } = await ask(`${url}/token`, { ...how, ca: server.cert });
    seen.ours.add((JSON.parse(body.toString()) as { token: string }).token);
  }
  const wrong = new URLSearchParams({ ...form, password: OF_CLIENTS["a wrong password"] }).toString();
  const refused = await ask(`${url}/token`, { method: "POST", body: wrong, ca: server.cert });
  assert.equal(refused.status, 401);
  note(seen, "asks for a token with a wrong password", "/token", refused);
  return [...seen.ours][0] ?? assert.fail();
}

/** Each kind of question, of each registry, in each state. */
function pathsOf(upstreams: Readonly<Record<string, FakeUpstream>>): string[] {
  const names = { dockerhub: "docker.io", corp: "corp.example", open: "open.example" };
  const ofRegistries = Object.keys(upstreams).flatMap((id) =>
    STATES.flatMap((state) => {
      const name = `/v2/${names[id as keyof typeof names]}/library/${state}`;
      return [`${name}/manifests/1`, `${name}/tags/list`, ...blobsOf(state).map((digest) => `${name}/blobs/${digest}`)];
    }),
  );
  const local = [
    "/v2/",
    "/v2/_catalog",
    "/",
    "/summary",
    "/api/v1/bypassing",
    "/nothing",
    "/v2/library/held/manifests/1",
  ];
  return [...ofRegistries, ...local, "/v2/ghcr.io/UPPER/manifests/1", "/v2/unknown.example/a/manifests/1"];
}

const digests = new Map<string, string[]>();

function blobsOf(state: string): string[] {
  return digests.get(state) ?? [];
}

async function send(url: string, { prefix = "", headers = {}, identity }: WayIn, path: string): Promise<Answer> {
  const options: Ask = {
    ca: server.cert,
    headers: {
      ...headers,
      Cookie: `session=${OF_CLIENTS["a cookie"]}`,
      "Proxy-Authorization": basic("proxy", OF_CLIENTS["a password for a proxy"]),
    },
    ...identity,
  };
  return await ask(`${url}${prefix}${path}?account=me&secret=${OF_CLIENTS["a query"]}`, options);
}

function note(seen: Seen, who: string, path: string, { status, headers, body }: Answer): void {
  seen.answers.push(`${who} ${path}: ${status} ${JSON.stringify(headers)} ${body.toString("latin1")}`);
  seen.statuses.set(who, (seen.statuses.get(who) ?? new Set()).add(status));
}

function hear(seen: Seen, upstream: string, requests: FakeUpstream["requests"]): void {
  for (const { role, method, path, headers } of requests) {
    const { authorization = "", ...others } = headers;
    seen.heard.push({ upstream, role, authorization, rest: `${method} ${path} ${JSON.stringify(others)}` });
    const bearer = /^Bearer (.+)$/.exec(authorization)?.[1];
    if (bearer !== undefined && bearer !== OF_UPSTREAMS["the token for corp"]) seen.issued.add(bearer);
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

function assertNot(secret: string, text: string, what: string): void {
  for (const needle of needles(secret)) {
    const at = text.indexOf(needle);
    assert.equal(at, -1, `${what}: ${text.slice(Math.max(0, at - SHOWN_AROUND), at + SHOWN_AROUND)}`);
  }
}

const SHOWN_AROUND = 200;

for (const workers of [1, 2]) {
  describe(`what leaks with ${workers} ${workers === 1 ? "worker" : "workers"}`, () => {
    const life = new Life();
    let seen: Seen;

    before(async () => {
      await rememberDigests();
      seen = await tryEverything(life, workers);
    });
    after(async () => await life.end());

    let known: Record<string, string> | undefined;
    const secrets = () => (known ??= gathered());
    const gathered = () => ({
      ...OF_CLIENTS,
      ...OF_UPSTREAMS,
      ...named("one of our tokens", seen.ours),
      ...named("one of the upstream's tokens", seen.issued),
      ...named("a signature", seen.signatures),
      "the password as it is hashed": HASH,
    });

    test("everybody was answered as is right, or the rest would say nothing", () => {
      const statuses = Object.fromEntries([...seen.statuses].map(([who, all]) => [who, [...all]]));
      for (const who of ["has a password", "has a token", "has a certificate"]) {
        for (const status of [200, 403, 502])
          assert.ok(statuses[who]?.includes(status), `${who}: ${String(statuses[who])}`);
        assert.ok(!statuses[who]?.includes(401), who);
      }
      assert.ok(statuses["has a secret path"]?.includes(200));
      for (const who of ["says nothing", "has a wrong token", "has a certificate of another authority"]) {
        assert.ok(statuses[who]?.includes(401), `${who}: ${String(statuses[who])}`);
      }
      assert.deepEqual(statuses["has a wrong secret path"], [404]);
      assert.ok(seen.issued.size > 0 && seen.signatures.size > 0 && seen.ours.size > 0);
      assert.ok(["r401", "r403", "r500", "sig="].every((one) => seen.heard.some(({ rest }) => rest.includes(one))));
    });

    test("upstreams hear nothing that clients said, nor what is for others", () => {
      for (const { upstream, role, authorization, rest } of seen.heard) {
        const where = `${upstream} ${role} ${rest}`;
        for (const [what, secret] of Object.entries(secrets())) {
          const isItsOwn = what.startsWith("a signature") && role === "cdn" && upstream !== "open";
          if (!isItsOwn) assertNot(secret, rest, `${what}, at ${where}`);
        }
        assert.ok(allowedAt(upstream, role, seen.issued).includes(authorization), `${authorization}, at ${where}`);
      }
    });

    const places: Readonly<Record<string, () => string>> = {
      "an answer": () => seen.answers.join("\n"),
      "the log": () => seen.log,
      "the checked configuration": () => seen.check,
      "the environment of a front": () => seen.environments,
    };
    for (const [place, text] of Object.entries(places)) {
      test(`no secret is in ${place}`, () => {
        for (const [what, secret] of Object.entries(secrets())) assertNot(secret, text(), what);
      });
    }

    test("the data folder has no secret but the key of our tokens, which only its owner may read", () => {
      const key = seen.files.get("/data/token-key") ?? assert.fail("no key");
      assert.ok(seen.files.size > 5);
      assert.equal(seen.keyMode, 0o600);
      for (const [path, bytes] of seen.files) {
        const text = bytes.toString("latin1");
        for (const [what, secret] of Object.entries(secrets())) assertNot(secret, text, `${what}, in ${path}`);
        assert.ok(path === "/data/token-key" || !bytes.includes(key), path);
      }
    });

    test("nobody sees the key of our tokens, nor that of our certificate", () => {
      const key = seen.files.get("/data/token-key") ?? assert.fail("no key");
      const own = server.key.split("\n")[1] ?? assert.fail();
      for (const text of [...seen.answers, seen.log, seen.check, seen.environments]) {
        for (const encoding of ["base64", "base64url", "hex", "latin1"] as const) {
          assert.ok(!text.includes(key.toString(encoding).replace(/=+$/, "")));
        }
        assert.ok(!text.includes(own));
      }
    });
  });
}

/** What an Authorization header may be at one of an upstream's hosts. */
function allowedAt(upstream: string, role: string, issued: ReadonlySet<string>): readonly string[] {
  switch (`${upstream} ${role}`) {
    case "dockerhub registry":
      return ["", ...[...issued].map((one) => `Bearer ${one}`)];
    case "dockerhub token":
      return ["", basic("upstream-user", OF_UPSTREAMS["the password for dockerhub"])];
    case "corp registry":
      return ["", `Bearer ${OF_UPSTREAMS["the token for corp"]}`];
    default:
      return [""];
  }
}

function named(what: string, secrets: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries([...secrets].map((secret, index) => [`${what} (${index})`, secret]));
}

/** The same images at every upstream, by their seeds. */
async function rememberDigests(): Promise<void> {
  const upstream = await startFakeUpstream();
  for (const state of STATES) {
    const { layers } = upstream.addImage(`library/${state}`, "1", { seed: `library/${state}` });
    digests.set(
      state,
      layers.map(({ digest }) => digest),
    );
  }
  await upstream.stop();
}
