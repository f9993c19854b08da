import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";
import { ask } from "./support/client.ts";
import { selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { assertNot, IMAGES, note, type Scenario, type Seen, tryEverything, type WayIn } from "./support/leaks.ts";
import { Life } from "./support/life.ts";
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
/** What we say to upstreams, and to receivers of webhooks. */
const OF_UPSTREAMS = {
  "the password for dockerhub": "upstream-password-1",
  "the token for corp": "upstream-token-2",
  "the password for the proxy": "proxy-password-3",
  "a webhook's password": "webhook-password-4",
  "a webhook's path": "webhook-path-5",
  "a webhook's secret": "webhook-secret-6",
} as const;

/** Nobody listens there: what cannot be told is in the log. */
const WEBHOOKS = `
webhooks:
  - url: http://hook:${OF_UPSTREAMS["a webhook's password"]}@127.0.0.1:9/${OF_UPSTREAMS["a webhook's path"]}
    secret: ${OF_UPSTREAMS["a webhook's secret"]}
`;

const HASH = hashSync(OF_CLIENTS["a password"], 4);
const server = selfSignedCertificate(["127.0.0.1", "localhost", "hub.cache.test", "corp.cache.test"]);
const authority = testAuthority();
const [ours, foreign] = [authority.issue("host-1"), testAuthority("another authority").issue("host-2")];

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

const CONFIG = (workers: number, urls: Readonly<Record<string, string>>) => `
listen: 127.0.0.1:0
workers: ${workers}
data_dir: ./data
log: { level: debug, format: json }
${WEBHOOKS}
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

/** What is the same for all. */
const AROUND = {
  always: {
    Cookie: `session=${OF_CLIENTS["a cookie"]}`,
    "Proxy-Authorization": basic("proxy", OF_CLIENTS["a password for a proxy"]),
  },
  query: `account=me&secret=${OF_CLIENTS["a query"]}`,
  names: { dockerhub: "docker.io", corp: "corp.example", open: "open.example" },
};
const FILES = { "cert.pem": server.cert, "key.pem": server.key, "ca.pem": authority.cert, users: `me:${HASH}\n` };
const ENVIRONMENT = {
  REGISTRY_CACHE_DOCKERHUB_PASSWORD: OF_UPSTREAMS["the password for dockerhub"],
  REGISTRY_CACHE_CORP_TOKEN: OF_UPSTREAMS["the token for corp"],
  // Loopback is reached without it.
  HTTP_PROXY: `http://proxy-user:${OF_UPSTREAMS["the password for the proxy"]}@127.0.0.1:9`,
  https_proxy: `http://proxy-user:${OF_UPSTREAMS["the password for the proxy"]}@127.0.0.1:9`,
};

/** Every method at once; private repositories are had by credentials of the cache's own, and shared. */
const SHARING: Scenario = {
  ...AROUND,
  files: FILES,
  environment: ENVIRONMENT,
  config: CONFIG,
  ways: waysIn,
  logIn: ourToken,
  upstreams: {
    dockerhub: {
      auth: "bearer",
      users: { "upstream-user": OF_UPSTREAMS["the password for dockerhub"] },
      anonymous: false,
      redirectBlobs: true,
      token: { expiresInS: 300 },
    },
    corp: {
      auth: "bearer",
      anonymous: false,
      bearerTokens: [OF_UPSTREAMS["the token for corp"]],
      redirectBlobs: true,
    },
    open: {},
  },
};

const [HUB, CORP] = ["hub.cache.test", "corp.cache.test"];

/** Private repositories are had by clients' own credentials, which each registry gets at its own host name. */
const PASSING: Scenario = {
  ...AROUND,
  files: FILES,
  environment: { HTTP_PROXY: ENVIRONMENT.HTTP_PROXY, https_proxy: ENVIRONMENT.https_proxy },
  config: (workers, urls) => `
listen: 127.0.0.1:0
workers: ${workers}
data_dir: ./data
log: { level: debug, format: json }
tls: { mode: files, cert: cert.pem, key: key.pem }
registries:
  dockerhub:
    upstream: ${urls["dockerhub"]}
    hostnames: [${HUB}]
    private_content: pass_through
    realms: [127.0.0.1]
    allow_private_addresses: true
    tags: [{ match: "*", revalidate_after: always }]
  corp:
    serves: corp.example
    upstream: ${urls["corp"]}
    hostnames: [${CORP}]
    private_content: pass_through
    realms: [127.0.0.1]
    allow_private_addresses: true
  open: { serves: open.example, upstream: "${urls["open"]}", allow_private_addresses: true }
`,
  upstreams: {
    dockerhub: {
      auth: "bearer",
      users: { me: OF_CLIENTS["a password"] },
      privateRepositories: IMAGES,
      redirectBlobs: true,
      token: { expiresInS: 300 },
    },
    corp: { auth: "bearer", privateRepositories: IMAGES, redirectBlobs: true, token: { expiresInS: 300 } },
    open: {},
  },
  logIn: async (url, seen) => {
    const headers = { Host: HUB, Authorization: basic("me", OF_CLIENTS["a password"]) };
    const { body } = await ask(`${url}/token`, { headers, ca: server.cert });
    const { token } = JSON.parse(body.toString()) as { token: string };
    seen.ours.add(token);
    return token;
  },
  ways: (token) => ({
    "says nothing": { headers: { Host: HUB } },
    "has a password": { headers: { Host: HUB, Authorization: basic("me", OF_CLIENTS["a password"]) } },
    "has a wrong password": { headers: { Host: HUB, Authorization: basic("me", OF_CLIENTS["a wrong password"]) } },
    "has a token": { headers: { Host: HUB, Authorization: `Bearer ${token}` } },
    "has a wrong token": { headers: { Host: HUB, Authorization: `Bearer ${OF_CLIENTS["a wrong token"]}` } },
    "has a token for another registry": { headers: { Host: CORP, Authorization: `Bearer ${token}` } },
    "has a password and says no registry's host": {
      headers: { Authorization: basic("me", OF_CLIENTS["a password"]) },
    },
  }),
};

for (const [scenario, workers] of [
  [SHARING, 1],
  [SHARING, 2],
  [PASSING, 1],
  [PASSING, 2],
] as const) {
  const title = scenario === SHARING ? "credentials of the cache" : "credentials that are passed through";
  describe(`what leaks with ${title}, ${workers} ${workers === 1 ? "worker" : "workers"}`, () => {
    const life = new Life();
    let seen: Seen;

    before(async () => {
      seen = await tryEverything(life, scenario, workers);
    });
    after(async () => await life.end());

    let known: Record<string, string> | undefined;
    const secrets = () => (known ??= gathered());
    const gathered = () => ({
      ...OF_CLIENTS,
      ...OF_UPSTREAMS,
      ...named("one of our tokens", seen.ours),
      ...named("one of the upstream's tokens", seen.bearers),
      ...named("a signature", seen.signatures),
      "the password as it is hashed": HASH,
    });

    test("everybody was answered as is right, or the rest would say nothing", () => {
      const statuses = Object.fromEntries([...seen.statuses].map(([who, all]) => [who, [...all]]));
      if (scenario === SHARING) assertSharing(statuses);
      else assertPassing(statuses);
      assert.ok(seen.bearers.size > 0 && seen.signatures.size > 0 && seen.ours.size > 0);
      assert.ok(["r401", "r403", "r500", "sig="].every((one) => seen.heard.some(({ rest }) => rest.includes(one))));
    });

    test("upstreams hear nothing that clients said, nor what is for others", () => {
      for (const { upstream, role, authorization, rest } of seen.heard) {
        const where = `${upstream} ${role} ${rest}`;
        for (const [what, secret] of Object.entries(secrets())) {
          const isItsOwn = what.startsWith("a signature") && role === "cdn" && upstream !== "open";
          if (!isItsOwn) assertNot(secret, rest, `${what}, at ${where}`);
        }
        assert.ok(
          allowedAt(scenario, `${upstream} ${role}`, seen.bearers).includes(authorization),
          `${authorization}, at ${where}`,
        );
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

    test("no secret is in a token of ours, whoever reads it", () => {
      for (const token of seen.ours) {
        const texts = token.split(".").map((part) => Buffer.from(part, "base64url").toString("latin1"));
        for (const [what, secret] of Object.entries({ ...OF_CLIENTS, ...OF_UPSTREAMS })) {
          for (const text of [token, ...texts]) assertNot(secret, text, what);
        }
      }
    });

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

type Statuses = Readonly<Record<string, readonly number[]>>;

function assertSharing(statuses: Statuses): void {
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
}

function assertPassing(statuses: Statuses): void {
  for (const who of ["has a password", "has a token"]) {
    for (const status of [200, 502]) assert.ok(statuses[who]?.includes(status), `${who}: ${String(statuses[who])}`);
  }
  for (const who of ["says nothing", "has a wrong password", "has a wrong token", "has a token for another registry"]) {
    assert.ok(statuses[who]?.includes(401), `${who}: ${String(statuses[who])}`);
  }
}

/** What an Authorization header may be at one of an upstream's hosts. */
function allowedAt(scenario: Scenario, where: string, bearers: ReadonlySet<string>): readonly string[] {
  const corp = OF_UPSTREAMS["the token for corp"];
  const issued = [...bearers].filter((one) => one !== corp).map((one) => `Bearer ${one}`);
  const own = basic("upstream-user", OF_UPSTREAMS["the password for dockerhub"]);
  const [right, wrong] = [OF_CLIENTS["a password"], OF_CLIENTS["a wrong password"]].map((one) => basic("me", one));
  const allowed: Readonly<Record<string, readonly (string | undefined)[]>> =
    scenario === SHARING
      ? { "dockerhub registry": issued, "dockerhub token": [own], "corp registry": [`Bearer ${corp}`] }
      : { "dockerhub registry": issued, "dockerhub token": [right, wrong], "corp registry": issued };
  return ["", ...(allowed[where] ?? []).filter((one) => one !== undefined)];
}

function named(what: string, secrets: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries([...secrets].map((secret, index) => [`${what} (${index})`, secret]));
}
