import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import type { AccessConfig } from "../src/config/config.ts";
import { OPEN_ACCESS, startCache, testRegistry } from "./support/cache.ts";
import { NO_FILES, selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { ask } from "./support/client.ts";
import { runCommand } from "./support/command.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { findProgram } from "./support/programs.ts";
import { tempDir } from "./support/temp.ts";

interface Report {
  readonly problems: number;
  readonly findings: readonly {
    readonly area: string;
    readonly level: string;
    readonly message: string;
    readonly fix?: string;
  }[];
}

const [USER, PASSWORD, TOKEN] = ["ci-1", 'correct "horse" \\ $battery', "0123456789abcdef0123456789abcdef"] as const;
const CLOSED: AccessConfig = { ...OPEN_ACCESS, anonymous: false };
const NO_CURL = findProgram("curl") === undefined && "curl is not installed";

/** What a client does that nobody sees: it is refused by its mirror, and has the image from elsewhere. */
const REFUSED = 'curl --silent --output /dev/null "$CACHE/v2/library/hello-world/manifests/latest"';

/** A host with Skopeo, as far as somebody who looks at settings alone can see, and with a curl that notes what is on its command line. */
async function host(t: TestContext, pull?: string) {
  const folder = await tempDir(t);
  const bin = join(folder, "bin");
  await mkdir(bin);
  const program = async (name: string, text: string) => {
    await writeFile(join(bin, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(bin, name), 0o755);
  };
  await program("skopeo", pull ?? "exit 1");
  await program("curl", `echo "$@" >>'${folder}/seen'\nexec ${findProgram("curl") ?? ""} "$@"`);
  const settings = async (text: string) => {
    await mkdir(join(folder, "etc/containers"), { recursive: true });
    await writeFile(join(folder, "etc/containers/registries.conf"), text);
  };
  const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}`, DESTDIR: folder };
  const run = async (script: string, more: Record<string, string> = {}) =>
    await new Promise<Report>((resolve, reject) => {
      const child = execFile(
        "sh",
        ["-s", "--", "skopeo", ...(pull === undefined ? ["--no-pull"] : []), "--json"],
        { env: { ...env, ...more } },
        (_, out, err) => {
          if (err === "") resolve(JSON.parse(out) as Report);
          else reject(new Error(err));
        },
      );
      child.stdin?.end(script);
    });
  return { folder, env, settings, run, commandLines: async () => await readFile(join(folder, "seen"), "utf8") };
}

async function cacheWith(t: TestContext, access: AccessConfig, tls?: { cert: string; key: string }) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const config = { access, ...(tls === undefined ? {} : { tls: { ...tls, files: NO_FILES } }) };
  return await startCache(t, [testRegistry(upstream.url)], { config });
}

function messages({ findings }: Report, level: string): string[] {
  return findings.filter((one) => one.level === level).map(({ message }) => message);
}

const LET_IN = /^it lets this host in, as 127\.0\.0\.1$/;
const isLetIn = (report: Report) => messages(report, "ok").some((message) => LET_IN.test(message));

describe("the script that the cache hands out", { skip: NO_CURL }, () => {
  test("is let in with a password, which stands on no command line", async (t) => {
    const { folder, run, commandLines } = await host(t);
    const users = join(folder, "users");
    await writeFile(users, `${USER}:${hashSync(PASSWORD, 4)}\n`, { mode: 0o600 });
    const { url } = await cacheWith(t, { ...CLOSED, htpasswd: users });
    assert.equal((await ask(`${url}/connect/doctor`)).status, 401);
    const login = Buffer.from(`${USER}:${PASSWORD}`).toString("base64");
    const script = (
      await ask(`${url}/connect/doctor`, { headers: { Authorization: `Basic ${login}` } })
    ).body.toString();
    assert.ok(!script.includes(PASSWORD) && !script.includes(login));
    const [nobody] = messages(await run(script), "problem");
    assert.match(nobody ?? "", /^it wants a user and a password before/);
    await writeFile(join(folder, "password"), PASSWORD);
    const given = { REGISTRY_CACHE_USER: USER, REGISTRY_CACHE_PASSWORD_FILE: join(folder, "password") };
    assert.ok(isLetIn(await run(script, given)));
    assert.doesNotMatch(await commandLines(), /horse/);
  });

  test("is let in by a secret path, which stands on no command line", async (t) => {
    const { folder, run, commandLines } = await host(t);
    const { url } = await cacheWith(t, { ...CLOSED, paths: [{ name: "lab", token: TOKEN }] });
    const script = (await ask(`${url}/t/${TOKEN}/connect/doctor`)).body.toString();
    assert.ok(!script.includes(TOKEN));
    const [nobody] = messages(await run(script), "problem");
    assert.match(nobody ?? "", /^it (?:lets nobody in from here|wants a user)/);
    await writeFile(join(folder, "token"), `${TOKEN}\n`);
    assert.ok(isLetIn(await run(script, { REGISTRY_CACHE_PATH_TOKEN_FILE: join(folder, "token") })));
    assert.ok(!(await commandLines()).includes(TOKEN));
  });

  test("is let in with a certificate, and trusts the authority that the cache tells of", async (t) => {
    const { folder, run } = await host(t);
    const authority = testAuthority();
    const { cert, key } = authority.issue("host-1");
    const own = selfSignedCertificate(["localhost", "127.0.0.1"]);
    const mtls = {
      ca: authority.cert,
      crl: undefined,
      names: ["*"],
      files: { ca: "/nonexistent/ca.pem", crl: undefined },
    };
    const { url } = await cacheWith(t, { ...CLOSED, mtls }, own);
    const script = (await ask(`${url}/connect/doctor`, { ca: own.cert, cert, key })).body.toString();
    await writeFile(join(folder, "client.pem"), cert);
    await writeFile(join(folder, "client-key.pem"), key);
    const report = await run(script, {
      REGISTRY_CACHE_CLIENT_CERT: join(folder, "client.pem"),
      REGISTRY_CACHE_CLIENT_KEY: join(folder, "client-key.pem"),
    });
    assert.ok(isLetIn(report), JSON.stringify(report));
    assert.ok(
      messages(report, "ok").includes("its certificate is of an authority that clients are told of by their settings"),
    );
    const refused = (await run(script)).findings.find(({ level }) => level === "problem");
    assert.match(refused?.message ?? "", /^it lets nobody in from here/);
    assert.match(refused?.fix ?? "", /--cert FILE --key FILE.*REGISTRY_CACHE_CLIENT_CERT/);
    // Where `connect` has written it.
    const written = join(folder, "etc/containers/certs.d", new URL(url).host);
    await mkdir(written, { recursive: true });
    await writeFile(join(written, "client.cert"), cert);
    await writeFile(join(written, "client.key"), key);
    const found = await run(script);
    assert.ok(isLetIn(found), JSON.stringify(found));
    assert.ok(messages(found, "ok").includes(`it is shown ${written}/client.cert, which clients here have of it`));
    const { fix } = found.findings.find(({ level }) => level === "problem") ?? {};
    const [file, keyFile] = [`${written}/client.cert`, `${written}/client.key`];
    assert.equal(
      fix,
      `curl -fsSL --cacert CA_FILE --cert '${file.replace(":", "\\:")}' --key ${keyFile} ${url}/connect/podman | sudo REGISTRY_CACHE_CLIENT_CERT=${file} REGISTRY_CACHE_CLIENT_KEY=${keyFile} sh`,
    );
  });

  test("says of the way what is wrong with it", async (t) => {
    const { run } = await host(t);
    const cache = await cacheWith(t, OPEN_ACCESS);
    const { url } = cache;
    const script = (await ask(`${url}/connect/doctor`)).body.toString();
    const { port } = new URL(url);
    const at = (address: string) => script.replace(/^cache_url=.*$/m, `cache_url='${address}'`);
    const only = async (text: string, more?: Record<string, string>) => messages(await run(text, more), "problem");
    assert.deepEqual(await only(at(`https://127.0.0.1:${port}`)), ["TLS could not be agreed on: is it http://?"]);
    assert.deepEqual(await only(at("http://nowhere.invalid:5000")), [
      "nowhere.invalid is a name that DNS does not know here",
    ]);
    const proxy = { http_proxy: "http://me:secret@127.0.0.1:9" };
    assert.deepEqual(await only(at(`http://cache.invalid:${port}`), proxy), [
      "nothing listens there, or a firewall is in between through the proxy http://127.0.0.1:9",
    ]);
    await cache.stop();
    assert.deepEqual(await only(script), ["nothing listens there, or a firewall is in between"]);
  });

  test("tells why a client that pulls without a complaint is refused by the cache", async (t) => {
    const { folder, run, settings } = await host(t, REFUSED);
    const users = join(folder, "users");
    await writeFile(users, `${USER}:${hashSync(PASSWORD, 4)}\n`, { mode: 0o600 });
    const { url } = await cacheWith(t, { ...CLOSED, htpasswd: users });
    const login = Buffer.from(`${USER}:${PASSWORD}`).toString("base64");
    const answer = await ask(`${url}/connect/doctor`, { headers: { Authorization: `Basic ${login}` } });
    await settings(
      `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${new URL(url).host}"\ninsecure = true\n`,
    );
    const report = await run(answer.body.toString(), {
      REGISTRY_CACHE_USER: USER,
      REGISTRY_CACHE_PASSWORD: PASSWORD,
      CACHE: url,
    });
    const [problem, ...more] = report.findings.filter(({ level }) => level === "problem");
    assert.deepEqual(more, []);
    assert.match(
      problem?.message ?? "",
      /^skopeo passes the cache by, and pulled from docker\.io itself: the cache wants to know who it is: /,
    );
    assert.match(problem?.fix ?? "", /^set it up anew: curl -fsSL \S+\/connect\/podman \| sudo sh$/);
  });

  test("does not pull what the cache does not serve", async (t) => {
    const { run } = await host(t);
    const { url } = await cacheWith(t, OPEN_ACCESS);
    const script = (await ask(`${url}/connect/doctor`)).body.toString();
    const other = script.replace("DEFAULT_IMAGE=docker.io/", "DEFAULT_IMAGE=quay.io/");
    assert.deepEqual(messages(await run(other), "problem"), ["the cache does not serve quay.io"]);
  });
});

test("registry-cache doctor CLIENT runs the same script", { skip: NO_CURL }, async (t) => {
  const { folder, env, settings } = await host(t);
  const { url } = await cacheWith(t, OPEN_ACCESS);
  const location = `${new URL(url).host}/docker.io`;
  const args = ["doctor", "skopeo", "--no-pull", "--json", "--server", url];
  const report = async () => {
    const { out, exitCode } = await runCommand(t, args, { cwd: folder, environment: env });
    return { exitCode, ...(JSON.parse(out) as Report) };
  };
  await settings("");
  const before = await report();
  assert.equal(before.exitCode, 1);
  assert.deepEqual(messages(before, "problem"), ["no file of registries.conf has a mirror for docker.io"]);
  await settings(
    `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${location}"\ninsecure = true\n`,
  );
  const after = await report();
  assert.equal(after.exitCode, 0);
  assert.equal(messages(after, "ok").at(-1), `${folder}/etc/containers/registries.conf leads docker.io to ${location}`);
  const unknown = await runCommand(t, ["doctor", "toaster", "--server", url], { cwd: folder, environment: env });
  assert.deepEqual([unknown.exitCode, unknown.err.split("\n")[0]], [2, "error: no client toaster is known here"]);
});
