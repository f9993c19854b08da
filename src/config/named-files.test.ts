import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { configFolder } from "../../test/support/config-folder.ts";
import { runCommand } from "../../test/support/command.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { knownKeys } from "./schema.ts";
import { namedFiles } from "./named-files.ts";

const TEXT = `
tls: { mode: files, cert: tls/cache.pem, key: tls/cache-key.pem, ca: ca.pem, directory_ca: /elsewhere/step.pem }
access:
  basic: { htpasswd: users.htpasswd }
  mtls: { ca: ca.pem, crl: crl.pem }
  paths: [{ name: lab, token_file: lab.token }, { name: other, token: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }]
registries: { ghcr: { ca: ghcr.pem }, quay: { enabled: false } }
`;

test("a configuration consists of its file, of .env, and of all files that it names", async (t) => {
  const folder = await configFolder(t);
  await folder.write({ "etc/registry-cache.yaml": TEXT, "etc/.env": "A=b" });
  const named = [
    "registry-cache.yaml",
    ".env",
    "tls/cache.pem",
    "tls/cache-key.pem",
    "ca.pem",
    "/elsewhere/step.pem",
    "users.htpasswd",
    "crl.pem",
    "lab.token",
    "ghcr.pem",
  ];
  assert.deepEqual(
    await namedFiles({ configPath: "etc/registry-cache.yaml", environment: {}, cwd: folder.path }),
    named.map((name) => (name.startsWith("/") ? name : join(folder.path, "etc", name))),
  );
  assert.deepEqual(await namedFiles({ environment: {}, cwd: join(folder.path, "etc/tls") }), []);
});

test("no key for a file was forgotten", () => {
  const looksLikeFile = /^(?:cert|key|ca|crl|htpasswd|\w+_(?:ca|file))$/;
  const keys = [["tls"], ["access", "mtls"], ["access", "basic"], ["registries", "ghcr"], ["access"], []].flatMap(
    knownKeys,
  );
  assert.deepEqual(keys.filter((key) => looksLikeFile.test(key)).toSorted(), [
    "ca",
    "ca",
    "ca",
    "cert",
    "crl",
    "directory_ca",
    "htpasswd",
    "key",
  ]);
});

test("the command line prints them", async (t) => {
  const folder = await configFolder(t);
  const { cert, key } = selfSignedCertificate();
  await folder.write({ "registry-cache.yaml": "tls: { mode: files, cert: a.pem, key: a.pem }", "a.pem": cert + key });
  const lines = ["registry-cache.yaml", "a.pem"].map((name) => join(folder.path, name));
  const { out } = await runCommand(t, ["check", "--files"], { cwd: folder.path });
  assert.equal(out, lines.map((line) => `${line}\n`).join(""));
  const { out: json } = await runCommand(t, ["check", "--files", "--json"], { cwd: folder.path });
  assert.deepEqual(JSON.parse(json), lines);
});
