import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { configFolder } from "../../test/support/config-folder.ts";
import { effectiveObject } from "./effective.ts";
import { ConfigError } from "./errors.ts";

describe("certificates by ACME", () => {
  it("come from Let's Encrypt, for all host names of registries, unless something else is said", async (t) => {
    const folder = await configFolder(t);
    const load = async (text: string) => (await folder.load({ files: { "registry-cache.yaml": text } })).acme;
    const registries =
      "registries: { dockerhub: { hostnames: [hub.example.com] }, ghcr: { hostnames: [ghcr.example.com] } }\n";
    assert.deepEqual(await load(`tls: { mode: acme }\n${registries}`), {
      directory: "https://acme-v02.api.letsencrypt.org/directory",
      directoryCa: undefined,
      email: undefined,
      names: ["hub.example.com", "ghcr.example.com"],
      oneEach: false,
      challenge: { kind: "http-01", listen: { host: "0.0.0.0", port: 80 } },
    });
    const staging = await load(`tls: { mode: acme, staging: true, names: [cache.example.com] }\n${registries}`);
    assert.equal(staging?.directory, "https://acme-staging-v02.api.letsencrypt.org/directory");
    assert.deepEqual(staging?.names, ["cache.example.com"]);
  });

  it("come from any other directory, with an authority of its own", async (t) => {
    const folder = await configFolder(t);
    await folder.write({ "root.pem": selfSignedCertificate().cert });
    const text =
      "tls: { mode: acme, directory: 'https://ca.example.com/acme/acme/directory', directory_ca: root.pem, " +
      "email: ops@example.com, names: [a.example.com], http_listen: 127.0.0.1:8080 }\n";
    const config = await folder.load({ files: { "registry-cache.yaml": text } });
    assert.deepEqual(effectiveObject(config)["tls"], {
      mode: "acme",
      directory: "https://ca.example.com/acme/acme/directory",
      directory_ca: "certificates of CN=registry-cache test",
      email: "ops@example.com",
      names: ["a.example.com"],
      one_each: false,
      challenge: "http-01",
      http_listen: "127.0.0.1:8080",
    });
  });

  it("are one for each name where that is wanted, and had without port 80", async (t) => {
    const folder = await configFolder(t);
    const text =
      "tls: { mode: acme, names: [a.example.com, b.example.com, a.example.com], one_each: true, " +
      "challenge: tls-alpn-01 }\n";
    const config = await folder.load({ files: { "registry-cache.yaml": text } });
    assert.deepEqual(effectiveObject(config)["tls"], {
      mode: "acme",
      directory: "https://acme-v02.api.letsencrypt.org/directory",
      names: ["a.example.com", "b.example.com"],
      one_each: true,
      challenge: "tls-alpn-01",
    });
  });

  for (const [text, path, message] of [
    ["tls: { mode: acme }", "tls.names", "is missing: whom is the certificate for"],
    ["tls: { mode: acme, names: [a.example], cert: x.pem }", "tls.cert", "has no effect with `mode: acme`"],
    ["tls: { mode: files, names: [a.example] }", "tls.names", "has no effect"],
    ["tls: { email: me@a.example }", "tls.email", "has no effect"],
    ["tls: { mode: files, one_each: true }", "tls.one_each", "has no effect"],
    ["tls: { challenge: http-01 }", "tls.challenge", "has no effect"],
    [
      "tls: { mode: acme, names: [a.example], challenge: dns-01 }",
      "tls.challenge",
      '"dns-01" is none of the possible values',
    ],
    [
      "tls: { mode: acme, names: [a.example], challenge: tls-alpn-01, http_listen: 0.0.0.0:80 }",
      "tls.http_listen",
      "has no effect with `challenge: tls-alpn-01`",
    ],
    [
      "tls: { mode: acme, names: [a.example], staging: true, directory: 'https://ca.example/d' }",
      "tls.staging",
      "is of Let's Encrypt, and another directory is named",
    ],
    [
      "tls: { mode: acme, names: [a.example], directory: 'http://ca.example/d' }",
      "tls.directory",
      '"http://ca.example/d" is not an https:// address',
    ],
    [
      "tls: { mode: acme, names: [a.example], directory_ca: none.pem }",
      "tls.directory_ca",
      '"none.pem" does not exist',
    ],
    [
      "listen: [{ address: 0.0.0.0:443, tls: false }]\ntls: { mode: acme, names: [a.example], challenge: tls-alpn-01 }",
      "tls.challenge",
      "the authority could ask nobody: every address in `listen` has `tls: false`",
    ],
  ] as const) {
    it(`${text} is refused`, async (t) => {
      const folder = await configFolder(t);
      const loading = folder.load({ files: { "registry-cache.yaml": `${text}\n` } });
      await assert.rejects(loading, (error) => {
        assert.ok(error instanceof ConfigError);
        const problems = error.problems.map((problem) => `${problem.path}: ${problem.message}`);
        assert.ok(problems.includes(`${path}: ${message}`), problems.join("\n"));
        return true;
      });
    });
  }
});
