import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { type ConfigFolder, configFolder, yaml } from "../../test/support/config-folder.ts";
import { effectiveObject, effectiveYaml } from "./effective.ts";

const own = selfSignedCertificate();
const other = selfSignedCertificate();
const FILES = yaml("tls: { mode: files, cert: c.pem, key: k.pem }");

/** A folder with a key that its owner alone may read, as it should be. */
async function setUp(t: TestContext, { cert = own.cert, key = own.key } = {}): Promise<ConfigFolder> {
  const folder = await configFolder(t);
  await folder.write({ ...FILES, "c.pem": cert, "k.pem": key });
  await chmod(join(folder.path, "k.pem"), 0o600);
  return folder;
}

const encrypted = (key: string, type: "pkcs8" | "sec1") =>
  createPrivateKey(key).export({ format: "pem", type, cipher: "aes-256-cbc", passphrase: "secret" }).toString();

const inDer = (pem: string) => Buffer.from(pem.replaceAll(/-----.*-----|\n/g, ""), "base64");

describe("certificate and key", () => {
  it("are none, unless the mode says files", async (t) => {
    const folder = await configFolder(t);
    for (const text of ["", "tls:", "tls: {}", "tls: { mode: off }", "tls: { mode: off, cert: x, key: y }"]) {
      assert.equal((await folder.load({ files: yaml(text) })).tls, undefined, text);
    }
  });

  it("are read from the configuration's folder, and no other text of their files with them", async (t) => {
    const folder = await configFolder(t);
    const files = {
      "etc/c.yaml": "tls: { mode: files, cert: tls/c.pem, key: tls/k.pem }",
      "etc/tls/c.pem": `subject=me\n${own.cert}\n${other.cert}`,
      "etc/tls/k.pem": `Bag Attributes\n${own.key}`,
    };
    const { tls } = await folder.load({ files, configPath: "etc/c.yaml" });
    assert.equal(tls?.cert, `${own.cert}${other.cert}`);
    assert.equal(tls?.key, own.key);
    assert.ok(tls?.files.cert.endsWith("/etc/tls/c.pem") && tls.files.key.endsWith("/etc/tls/k.pem"));
  });

  it("may be one file, and the key may be of an older form", async (t) => {
    const key = createPrivateKey(own.key).export({ format: "pem", type: "sec1" }).toString();
    const folder = await setUp(t);
    const both = `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${key}${own.cert}`;
    const files = { ...yaml("tls: { mode: files, cert: both.pem, key: both.pem }"), "both.pem": both };
    const { tls } = await folder.load({ files });
    assert.deepEqual([tls?.cert, tls?.key], [own.cert, key]);
  });

  it("are shown as whose they are, the key never", async (t) => {
    const config = await (await setUp(t)).load();
    const until = new Date(Date.now() + 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
    const cert = `certificate of CN=registry-cache test until ${until}`;
    assert.deepEqual(effectiveObject(config)["tls"], { mode: "files", cert, key: "********" });
    assert.ok(!effectiveYaml(config).includes("PRIVATE"));
  });
});

const FROM_HERE = "hint: relative names count from this file's folder";

describe("what is wrong with certificate and key is said with its line", () => {
  const at = (key: string) => `error: registry-cache.yaml:1: tls.${key}: `;
  const keyText = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  const small = selfSignedCertificate([], { keys: generateKeyPairSync("rsa", { modulusLength: 1024 }) });
  for (const [what, files, said] of [
    [
      "nothing there",
      { cert: "", key: "" },
      [
        `${at("cert")}"c.pem" has no certificate in PEM form`,
        "hint: such a file has lines -----BEGIN CERTIFICATE-----",
        `${at("key")}"k.pem" has no private key in PEM form`,
        "hint: such a file has a line -----BEGIN PRIVATE KEY-----",
      ],
    ],
    [
      "mixed up",
      { cert: own.key, key: own.cert },
      [
        `${at("cert")}"c.pem" has no certificate in PEM form`,
        "hint: that is a private key",
        `${at("key")}"k.pem" has no private key in PEM form`,
        "hint: that is a certificate",
      ],
    ],
    [
      "a certificate in DER",
      { cert: inDer(own.cert) },
      [
        `${at("cert")}"c.pem" has no certificate in PEM form`,
        "hint: that may be DER: `openssl x509 -inform der -in FILE` writes it as PEM",
      ],
    ],
    [
      "a damaged certificate in the chain",
      { cert: own.cert + own.cert.replace("M", "A") },
      [`${at("cert")}certificate 2 in "c.pem" is damaged`, "hint: copy the file again"],
    ],
    [
      "a damaged key",
      { key: keyText },
      [`${at("key")}the private key in "k.pem" is damaged, or of an unknown kind`, "hint: copy the file again"],
    ],
    [
      "an encrypted key",
      { key: encrypted(own.key, "pkcs8") },
      [
        `${at("key")}"k.pem" is encrypted, which is not supported`,
        "hint: decrypt it into a file that this process's user alone may read: openssl pkey -in KEY -out FILE",
      ],
    ],
    [
      "an encrypted key of the older form",
      { key: encrypted(own.key, "sec1") },
      [
        `${at("key")}"k.pem" is encrypted, which is not supported`,
        "hint: decrypt it into a file that this process's user alone may read: openssl pkey -in KEY -out FILE",
      ],
    ],
    [
      "another's key",
      { key: other.key },
      [
        `${at("key")}"k.pem" does not belong to the certificate in "c.pem"`,
        "hint: take the two files that were made together",
      ],
    ],
    [
      "a chain that begins with the authority",
      { cert: other.cert + own.cert },
      [
        `${at("cert")}in "c.pem" the certificates are in the wrong order`,
        "hint: the server's own certificate comes first, then the one that signed it",
      ],
    ],
    [
      "a key that is too short for TLS",
      small,
      [`${at("cert")}TLS refuses it (ERR_SSL_EE_KEY_TOO_SMALL)`, "hint: RSA keys need 2048 bits, signatures SHA-256"],
    ],
  ] as const) {
    it(what, async (t) => {
      const folder = await setUp(t);
      const { cert = own.cert, key = own.key } = files as { cert?: string | Buffer; key?: string };
      assert.deepEqual(await folder.complaints({ files: { "c.pem": cert, "k.pem": key } }), said);
    });
  }

  for (const [text, said] of [
    [
      "tls: { cert: c.pem, key: k.pem }",
      [`${at("mode")}is missing: without it nobody is served by TLS`, "hint: write `mode: files`"],
    ],
    [
      "tls:\n  mode: files\n  key: no.pem",
      [
        "error: registry-cache.yaml:1: tls.cert: is missing",
        "hint: write `cert: ./tls-cert.pem`, or `mode: off`",
        'error: registry-cache.yaml:3: tls.key: "no.pem" does not exist',
        "hint: relative names count from this file's folder",
      ],
    ],
    [
      "tls: files",
      [
        "error: registry-cache.yaml:1: tls: must be a mapping of keys to values, not a text",
        "hint: write `tls: { mode: files, cert: FILE, key: FILE }` or `tls: { mode: off }`",
      ],
    ],
    [
      "tls: { mode: acne, certificate: c.pem }",
      [
        'error: registry-cache.yaml:1: tls.mode: "acne" is none of the possible values',
        "hint: write one of off, files, acme",
        "error: registry-cache.yaml:1: tls.certificate: unknown key",
        "hint: the keys here are mode, cert, key, ca, directory, staging, directory_ca, email, names, one_each, challenge, http_listen",
      ],
    ],
    ["tls: { mode: files, cert: ., key: k.pem }", [`${at("cert")}"." is a folder, not a file`, FROM_HERE]],
  ] as const) {
    it(text, async (t) => {
      const folder = await setUp(t);
      assert.deepEqual(await folder.complaints({ files: yaml(text) }), said);
    });
  }
});

describe("what works but should not stay so is a warning", () => {
  const day = (days: number) => new Date(Date.now() + days * 24 * 60 * 60 * 1000).toISOString().slice(0, 10);

  it("not where everything is right", async (t) => {
    assert.deepEqual((await (await setUp(t)).load()).warnings, []);
  });

  it("a certificate that has expired, or is not yet valid", async (t) => {
    const expired = selfSignedCertificate([], { validDays: [-9, -3] });
    const future = selfSignedCertificate([], { validDays: [3, 9] });
    const folder = await setUp(t, { cert: expired.cert + future.cert, key: expired.key });
    const { tls, warnings } = await folder.load();
    assert.equal(tls?.key, expired.key);
    assert.deepEqual(warnings, [
      `certificate 1 in "c.pem" expired on ${day(-3)}: clients refuse it`,
      `certificate 2 in "c.pem" is valid from ${day(3)} on: until then clients refuse it`,
    ]);
  });

  it("a key that everybody may read", async (t) => {
    const folder = await setUp(t);
    await chmod(join(folder.path, "k.pem"), 0o644);
    assert.deepEqual((await folder.load()).warnings, [
      'every user of this machine may read the private key "k.pem": chmod o= takes that back',
    ]);
    await chmod(join(folder.path, "k.pem"), 0o640);
    assert.deepEqual((await folder.load()).warnings, []);
  });
});
