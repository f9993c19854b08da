import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { selfSignedCertificate, testAuthority } from "../../test/support/certificate.ts";
import { configFolder } from "../../test/support/config-folder.ts";
import { revocationWarnings } from "./access.ts";
import { ConfigError } from "./errors.ts";

const TOKEN = "0123456789012345678901";

describe("access", () => {
  it("is open to all by default, and closed as soon as there is a way to say who one is", async (t) => {
    const folder = await configFolder(t);
    await folder.write({ users: "", token: `${TOKEN}\n` });
    const load = async (text: string) => (await folder.load({ files: { "registry-cache.yaml": text } })).access;
    assert.equal((await load("{}\n")).anonymous, true);
    assert.equal((await load("access: { networks: [10.0.0.0/8] }\n")).anonymous, true);
    assert.deepEqual((await load("access: { hosts: [Cache.Example.com] }\n")).hosts, ["cache.example.com"]);
    const basic = await load("access: { basic: { htpasswd: users } }\n");
    assert.deepEqual([basic.anonymous, basic.htpasswd?.endsWith("/users")], [false, true]);
    const [path] = (await load("access: { paths: [{ name: lab, token_file: token }] }\n")).paths;
    assert.deepEqual([path?.name, path?.token, path?.file?.endsWith("/token")], ["lab", TOKEN, true]);
  });

  it("warns of credentials that a proxy may open to anybody", async (t) => {
    const folder = await configFolder(t);
    const load = async (more: string) => {
      const registries = "registries: { ghcr: { username: me, password: secret } }";
      const text = `trusted_proxies: [127.0.0.1]\n${registries}\n${more}`;
      return (await folder.load({ files: { "registry-cache.yaml": text } })).warnings;
    };
    const warning = "whoever the proxy lets in can pull with the credentials of ghcr: let it ask who that is";
    assert.deepEqual(await load(""), [warning]);
    assert.deepEqual(await load("access: { networks: [10.0.0.0/8] }\n"), []);
  });

  it("warns of methods that no address chooses, and of certificates that none shows", async (t) => {
    const folder = await configFolder(t);
    const server = selfSignedCertificate(["cache.example.com"]);
    await folder.write({ users: "", "tls.pem": server.cert + server.key, "ca.pem": testAuthority().cert });
    const load = async (listen: string, access: string, tls = "") => {
      const text = `listen: ${listen}\naccess: { ${access} }\n${tls}`;
      const { warnings } = await folder.load({ files: { "registry-cache.yaml": text } });
      return warnings.filter((one) => /counts nowhere|TLS/.test(one));
    };
    const nowhere = (method: string) =>
      `access.${method} counts nowhere: each address in \`listen\` has an \`access\` without "${method}"`;
    const basic = "basic: { htpasswd: users }";
    const all = `networks: [10.0.0.0/8], anonymous: true, bearer: true, ${basic}`;
    const [local, other] = ["127.0.0.1:5000", "127.0.0.1:5001"];
    assert.deepEqual(await load(`[{ address: "${local}", access: [basic] }]`, all), [
      nowhere("anonymous"),
      nowhere("networks"),
      nowhere("bearer"),
    ]);
    assert.deepEqual(await load(`[{ address: "${local}", access: [basic] }, "${other}"]`, all), []);
    assert.deepEqual(
      await load(`[{ address: "${local}", access: [networks, bearer] }]`, `${basic}, bearer: true, networks: [::1]`),
      [],
    );
    assert.deepEqual(await load(`[{ address: "${local}", access: [networks] }]`, "networks: [10.0.0.0/8]"), []);
    const tls = "tls: { mode: files, cert: tls.pem, key: tls.pem }\n";
    const plain =
      "nobody is spoken to with TLS, although tls.mode is files: every address in `listen` has `tls: false`";
    assert.deepEqual(
      await load(`[{ address: "${local}", access: [basic], tls: false }]`, `mtls: { ca: ca.pem }, ${basic}`, tls),
      [plain, nowhere("mtls")],
    );
    assert.deepEqual(await load(`[{ address: "${local}", tls: false }, "${other}"]`, "", tls), []);
  });

  it("warns of users that are left out, and of a file that is not there, and starts all the same", async (t) => {
    const folder = await configFolder(t);
    await folder.write({ users: "me:$apr1$abcdefgh$0123456789\n" });
    const load = async (name: string) =>
      (await folder.load({ files: { "registry-cache.yaml": `access: { basic: { htpasswd: ${name} } }\n` } })).warnings;
    const md5 = 'a user of "users" is left out, line 1: the hash of "me" is MD5 or SHA-1, which anybody can guess';
    assert.deepEqual(await load("users"), [md5]);
    assert.match((await load("none")).join(), /^"none" is not there, so that there are no users/);
  });

  it("warns of secrets that every user of the machine may read", async (t) => {
    const folder = await configFolder(t);
    const access = "access: { basic: { htpasswd: users }, paths: [{ name: lab, token_file: lab.token }] }";
    const files = {
      "registry-cache.yaml": `${access}\n`,
      users: "",
      "lab.token": TOKEN,
      ".env": "REGISTRY_CACHE_GHCR_USERNAME=me\nREGISTRY_CACHE_GHCR_PASSWORD=secret\n",
    };
    assert.deepEqual((await folder.load({ files })).warnings, []);
    for (const name of Object.keys(files)) await chmod(join(folder.path, name), 0o644);
    const may = "every user of this machine may read";
    assert.deepEqual((await folder.load()).warnings, [
      `${may} the password file "users": chmod o= takes that back`,
      `${may} the secret path's "lab.token": chmod o= takes that back`,
      `${may} REGISTRY_CACHE_GHCR_PASSWORD in ".env": chmod o= takes that back`,
    ]);
    // Without a secret in it, it may be read by whomever.
    const plain = { ".env": "REGISTRY_CACHE_LOG_LEVEL=warn\n" };
    assert.equal((await folder.load({ files: plain })).warnings.length, 2);
  });

  it("says how a token for a path is made where its file is missing, and one thing where `mode` is", async (t) => {
    const folder = await configFolder(t);
    await folder.write({ "ca.pem": testAuthority().cert });
    const complaints = async (text: string) =>
      await folder.complaints({ files: { "registry-cache.yaml": `${text}\n` } });
    assert.deepEqual(await complaints("access: { paths: [{ name: lab, token_file: lab.token }] }"), [
      'error: registry-cache.yaml:1: access.paths[0].token_file: "lab.token" does not exist',
      "hint: `(umask 077; openssl rand -hex 24 > lab.token)` makes one",
    ]);
    assert.deepEqual(await complaints("tls: { cert: c.pem, key: k.pem }\naccess: { mtls: { ca: ca.pem } }"), [
      "error: registry-cache.yaml:1: tls.mode: is missing: without it nobody is served by TLS",
      "hint: write `mode: files`",
    ]);
  });

  it("warns of rules that are for nobody or never decide, unless anybody's certificate may have the name", async (t) => {
    const folder = await configFolder(t);
    const server = selfSignedCertificate(["cache.example.com"]);
    const hash = "$2b$04$abcdefghijklmnopqrstuuJjXvV8V0Y4l0Zp3p1Yx0n5o5bJ9c9dK";
    const files = { users: `me:${hash}\n`, "tls.pem": server.cert + server.key, "ca.pem": testAuthority().cert };
    await folder.write(files);
    const tls = "tls: { mode: files, cert: tls.pem, key: tls.pem }";
    const load = async (users: string, mtls = "") => {
      const paths = `paths: [{ name: lab, token: "${TOKEN}" }]`;
      const rules = "rules: [{ who: lab, allow: true }, { who: me, allow: true }, { who: ops, allow: false }]";
      const text = `${tls}\naccess: { basic: { htpasswd: ${users} }, ${paths}, ${mtls}${rules} }\n`;
      const { warnings } = await folder.load({ files: { "registry-cache.yaml": text } });
      return warnings.filter((one) => one.startsWith("rule "));
    };
    assert.deepEqual(await load("users"), [
      'rule 3 of access.rules is for nobody: "ops" is the name of no user, no secret path, nor `anonymous`',
    ]);
    assert.deepEqual(await load("users", "mtls: { ca: ca.pem }, "), []);
    // That there are no users is a warning of its own.
    assert.deepEqual(await load("none"), []);
  });

  it("finds authorities whose revocation list is missing, by whom nobody would be let in", async (t) => {
    const folder = await configFolder(t);
    const server = selfSignedCertificate(["cache.example.com"]);
    const [clients, other] = [testAuthority("Clients  CA"), testAuthority("other")];
    const intermediate = clients.issue("intermediate", [], { use: "authority" });
    const notAnAuthority = clients.issue("host-1");
    await folder.write({
      "tls.pem": server.cert + server.key,
      "ca.pem": clients.cert + notAnAuthority.cert,
      "chain.pem": clients.cert + intermediate.cert,
      "crl.pem": clients.revocations([]),
      // OpenSSL compares names without regard to case and spaces.
      "same.pem": testAuthority("clients ca").revocations([]),
      "other.pem": other.revocations([]),
      "both.pem": other.revocations([]) + clients.revocations([]),
    });
    const found = async (ca: string, crl: string) => {
      const text = `tls: { mode: files, cert: tls.pem, key: tls.pem }\naccess: { mtls: { ca: ${ca}, crl: ${crl} } }\n`;
      return await folder.load({ files: { "registry-cache.yaml": text } }).then(
        () => [],
        (error: ConfigError) => error.problems.map(({ path: at, message }) => `${at}: ${message}`),
      );
    };
    for (const crl of ["crl.pem", "same.pem", "both.pem"]) assert.deepEqual(await found("ca.pem", crl), [], crl);
    assert.deepEqual(await found("ca.pem", "other.pem"), [
      'access.mtls.crl: "other.pem" has no list of "CN=Clients  CA"',
    ]);
    assert.deepEqual(await found("chain.pem", "crl.pem"), [
      'access.mtls.crl: "crl.pem" has no list of "CN=intermediate"',
    ]);
  });

  const cases: readonly (readonly [text: string, path: string, message: string])[] = [
    ["access: { networks: [] }", "access.networks", "has no network: that would keep nobody out"],
    [
      "access: { networks: [10.0.0.1/8] }",
      "access.networks[0]",
      '"10.0.0.1/8" is an address in the middle of a network',
    ],
    ["access: { anonymous: false }", "access.anonymous", "nobody could pull: nobody has a way to say who they are"],
    ["access: { bearer: true }", "access.bearer", "tokens are given for passwords, and there are no users"],
    ["access: { mtls: { ca: ca.pem } }", "access.mtls", "is of no use without TLS"],
    ["access: { mtls: { ca: none.pem } }", "access.mtls.ca", '"none.pem" does not exist'],
    ["access: { mtls: { ca: ca.pem, crl: ca.pem } }", "access.mtls.crl", '"ca.pem" has no revocation list in PEM form'],
    ["access: { paths: [{ name: lab }] }", "access.paths[0].name", "has no token"],
    [
      `access: { paths: [{ name: anonymous, token: "${TOKEN}" }] }`,
      "access.paths[0].name",
      "is what those are called who say nothing",
    ],
    [
      'access: { paths: [{ name: lab, token: "short" }] }',
      "access.paths[0].token",
      "is no token for a path: 22 to 200 letters, digits, - and _",
    ],
    [
      `access: { paths: [{ name: a, token: "${TOKEN}" }, { name: b, token: "${TOKEN}" }] }`,
      "access.paths[1].name",
      'has the same token as "a"',
    ],
    [
      `default_registry: ghcr\naccess: { paths: [{ name: a, token: "${TOKEN}" }] }`,
      "default_registry",
      "is not Docker Hub, which is all that secret paths are for",
    ],
    ["access: { rules: [{ who: me }] }", "access.rules[0].allow", "is missing"],
    [
      "access: { rules: [{ allow: false, min_age: 72h }] }",
      "access.rules[0].min_age",
      "is of no use where nothing is allowed",
    ],
    [
      "access: { rules: [{ registry: docker.io, allow: true }] }",
      "access.rules[0].registry",
      'there is no registry "docker.io"',
    ],
    [
      "access: { rules: [{ repository: docker.io/org/*, allow: false }] }",
      "access.rules[0].repository",
      '"docker.io/org/*" begins with a registry, and names are compared without it',
    ],
    ["listen: { address: 127.0.0.1:5000, access: [basic] }", "listen[0].access", '"basic" is not set up'],
    ["listen: [{ address: 127.0.0.1:5000, access: [] }]", "listen[0].access", "is empty: nobody could pull there"],
    [
      "listen: [127.0.0.1:5000, { address: 0.0.0.0:5001, access: [anonymous] }]\naccess: { networks: [10.0.0.0/8] }\nregistries: { ghcr: { username: me, password: secret } }",
      "listen[1].access",
      "anybody who reaches 0.0.0.0:5001 could pull with the credentials of ghcr",
    ],
    ["listen: [{ address: nowhere }]", "listen[0].address", '"nowhere" is not HOST:PORT'],
    ["listen: [{ access: [networks] }]", "listen[0].address", "is missing"],
    [
      "listen: [{ address: 127.0.0.1:5000, access: [password] }]",
      "listen[0].access[0]",
      '"password" is none of the possible values',
    ],
    [
      "access: { basic: { htpasswd: users } }\nregistries: { ghcr: { private_content: pass_through, hostnames: [g.example] } }",
      "registries.ghcr.private_content",
      "cannot pass clients' passwords through where `access.basic` asks for other ones",
    ],
    [
      "registries: { ghcr: { private_content: pass_through } }",
      "registries.ghcr.private_content",
      "needs a host name of its own, by which clients know whose credentials they send",
    ],
    [
      "listen: 0.0.0.0:5000\naccess: { networks: [0.0.0.0/1, 128.0.0.0/1] }\nregistries: { ghcr: { username: me, password: secret } }",
      "access",
      "anybody who reaches 0.0.0.0:5000 could pull with the credentials of ghcr",
    ],
    [
      "listen: 0.0.0.0:5000\nregistries: { ghcr: { username: me, password: secret } }",
      "access",
      "anybody who reaches 0.0.0.0:5000 could pull with the credentials of ghcr",
    ],
  ];
  for (const [text, path, message] of cases) {
    it(`${text} is refused`, async (t) => {
      const folder = await configFolder(t);
      await folder.write({ "ca.pem": selfSignedCertificate().cert });
      await assert.rejects(folder.load({ files: { "registry-cache.yaml": `${text}\n` } }), (error) => {
        assert.ok(error instanceof ConfigError);
        const problems = error.problems.map((problem) => `${problem.path}: ${problem.message}`);
        assert.ok(problems.includes(`${path}: ${message}`), problems.join("\n"));
        return true;
      });
    });
  }

  it("takes credentials beyond loopback where strangers are kept out", async (t) => {
    const folder = await configFolder(t);
    await folder.write({ users: "" });
    const registries = "registries: { ghcr: { username: me, password: secret } }";
    for (const access of ["networks: [10.0.0.0/8]", "basic: { htpasswd: users }"]) {
      const text = `listen: 0.0.0.0:5000\naccess: { ${access} }\n${registries}\n`;
      await folder.load({ files: { "registry-cache.yaml": text } });
    }
  });

  it("says when a revocation list runs out, and what that means", async () => {
    const list = testAuthority().revocations([7]);
    const dayMs = 24 * 60 * 60_000;
    assert.deepEqual(await revocationWarnings(list, Date.now() - dayMs), []);
    assert.match(
      (await revocationWarnings(list, Date.now() + dayMs / 2)).join(),
      /runs out at .* and then lets nobody in/,
    );
    assert.match((await revocationWarnings(list, Date.now() + 2 * dayMs)).join(), /ran out at .* and lets nobody in/);
  });
});
