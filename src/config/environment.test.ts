import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import { BUILT_IN_REGISTRIES } from "./built-in.ts";
import type { Config, Credentials } from "./config.ts";

function credentialsOf(config: Config, id: string): Credentials | undefined {
  return config.registries.find((registry) => registry.id === id)?.credentials;
}

const ME: Credentials = { kind: "basic", username: "me", password: "secret" };

describe("the environment", () => {
  it("stands above the file", async (t) => {
    const folder = await configFolder(t);
    const file = "listen: 127.0.0.1:1\ndata_dir: a\nlog: { level: warn, format: pretty }";
    const config = await folder.load({
      files: yaml(file),
      environment: {
        REGISTRY_CACHE_LISTEN: "127.0.0.1:2, [::1]:2",
        REGISTRY_CACHE_DATA_DIR: "/b",
        REGISTRY_CACHE_LOG_LEVEL: "debug",
      },
    });
    assert.deepEqual(config.listen, [
      { host: "127.0.0.1", port: 2, methods: undefined, tls: true },
      { host: "::1", port: 2, methods: undefined, tls: true },
    ]);
    assert.equal(config.dataDir, "/b");
    assert.deepEqual(config.log, { format: "pretty", level: "debug" });
  });

  it("is checked like the file", async (t) => {
    const folder = await configFolder(t);
    const environment = { REGISTRY_CACHE_LISTEN: "5000", REGISTRY_CACHE_LOG_LEVEL: "loud" };
    assert.deepEqual(await folder.complaints({ environment }), [
      'error: REGISTRY_CACHE_LISTEN: "5000" does not say who may connect',
      "hint: write 127.0.0.1:5000 for this machine alone, or 0.0.0.0:5000 for the whole network",
      'error: REGISTRY_CACHE_LOG_LEVEL: "loud" is none of the possible values',
      "hint: write one of debug, info, warn, error, silent",
    ]);
  });

  it("does not make an address out of one that has methods of its own, or none of TLS", async (t) => {
    const folder = await configFolder(t);
    const environment = { REGISTRY_CACHE_LISTEN: "127.0.0.1:2" };
    const said = [
      "error: REGISTRY_CACHE_LISTEN: would replace addresses of the file that have `access` or `tls` of their own",
      "hint: change `listen` in the file instead",
    ];
    for (const differs of ["access: [anonymous]", "tls: false"]) {
      const file = `listen: ["127.0.0.1:0", { address: "127.0.0.1:1", ${differs} }]`;
      assert.deepEqual(await folder.complaints({ files: yaml(file), environment }), said);
    }
    const { listen } = await folder.load({ files: yaml('listen: [{ address: "127.0.0.1:1" }]'), environment });
    assert.equal(listen[0]?.port, 2);
  });

  it("says nothing by an empty variable", async (t) => {
    const folder = await configFolder(t);
    const environment = {
      REGISTRY_CACHE_CONFIG: "",
      REGISTRY_CACHE_LISTEN: "",
      REGISTRY_CACHE_GHCR_PASSWORD: "",
      REGISTRY_CACHE_WHATEVER: "",
    };
    const config = await folder.load({ environment });
    assert.deepEqual(config.listen, [{ host: "127.0.0.1", port: 5000, methods: undefined, tls: true }]);
  });

  it("must not have a line of ours without =", async (t) => {
    const folder = await configFolder(t);
    const env = "REGISTRY_CACHE_LISTEN: 127.0.0.1:5009\nFOO\n# REGISTRY_CACHE_X\nexport REGISTRY_CACHE_DATA_DIR\n";
    assert.deepEqual(await folder.complaints({ files: { ".env": env } }), [
      "error: .env:1: REGISTRY_CACHE_LISTEN: is given no value",
      "hint: write REGISTRY_CACHE_LISTEN=VALUE",
      "error: .env:4: REGISTRY_CACHE_DATA_DIR: is given no value",
      "hint: write REGISTRY_CACHE_DATA_DIR=VALUE",
    ]);
    const good = "REGISTRY_CACHE_DATA_DIR = /a\nexport REGISTRY_CACHE_LISTEN=127.0.0.1:5009\n";
    assert.equal((await folder.load({ files: { ".env": good } })).dataDir, "/a");
  });

  it("names the proxy, with or without its scheme; another one is refused", async (t) => {
    const folder = await configFolder(t);
    const environment = { HTTPS_PROXY: "proxy.example:3128", http_proxy: "https://me:pw@p.example", NO_PROXY: "a" };
    assert.deepEqual((await folder.load({ environment })).proxy, {
      httpsProxy: "http://proxy.example:3128",
      httpProxy: "https://me:pw@p.example",
      noProxy: "a",
    });
    assert.deepEqual(await folder.complaints({ environment: { https_proxy: "socks5://proxy.example" } }), [
      "error: https_proxy: is not the address of an HTTP proxy",
      "hint: write http://proxy.example.com:3128",
    ]);
  });

  it("must not have a misspelt variable of ours", async (t) => {
    const folder = await configFolder(t);
    assert.deepEqual(await folder.complaints({ environment: { REGISTRY_CACHE_DOKERHUB_PASSWORD: "x" } }), [
      "error: REGISTRY_CACHE_DOKERHUB_PASSWORD: unknown environment variable",
      "hint: did you mean REGISTRY_CACHE_DOCKERHUB_PASSWORD?",
    ]);
    const [error] = await folder.complaints({ environment: { REGISTRY_CACHE_MAX_SIZE: "200GiB" } });
    assert.equal(error, "error: REGISTRY_CACHE_MAX_SIZE: unknown environment variable");
  });

  it("may have what Kubernetes sets beside a service of our name", async (t) => {
    const folder = await configFolder(t);
    const environment = {
      REGISTRY_CACHE_SERVICE_HOST: "10.0.0.1",
      REGISTRY_CACHE_SERVICE_PORT: "5000",
      REGISTRY_CACHE_SERVICE_PORT_HTTP: "5000",
      REGISTRY_CACHE_PORT: "tcp://10.0.0.1:5000",
      REGISTRY_CACHE_PORT_5000_TCP: "tcp://10.0.0.1:5000",
      REGISTRY_CACHE_PORT_5000_TCP_ADDR: "10.0.0.1",
      REGISTRY_CACHE_METRICS_SERVICE_HOST: "10.0.0.2",
    };
    assert.equal((await folder.load({ environment })).registries.length, BUILT_IN_REGISTRIES.length);
  });
});

describe("credentials", () => {
  it("come from the file, the environment, or both", async (t) => {
    const folder = await configFolder(t);
    const file = `registries:
  dockerhub: { username: me, password: secret }
  ghcr: { username: me }
  my-corp: { serves: corp.example, upstream: "https://corp.example", username: old, password: old }
`;
    const config = await folder.load({
      files: yaml(file),
      environment: {
        REGISTRY_CACHE_GHCR_PASSWORD: "secret",
        REGISTRY_CACHE_MY_CORP_USERNAME: "me",
        REGISTRY_CACHE_MY_CORP_PASSWORD: "secret",
        REGISTRY_CACHE_ECR_TOKEN: "t0ken",
      },
    });
    for (const id of ["dockerhub", "ghcr", "my-corp"]) assert.deepEqual(credentialsOf(config, id), ME, id);
    assert.deepEqual(credentialsOf(config, "ecr"), { kind: "bearer", token: "t0ken" });
    assert.equal(credentialsOf(config, "quay"), undefined);
  });

  it("come from secret files, without the editor's line break", async (t) => {
    const folder = await configFolder(t);
    const files = { "secrets/user": "me", "secrets/password": "secret\n", "secrets/token": "t0ken\r\n" };
    const config = await folder.load({
      files,
      environment: {
        REGISTRY_CACHE_GHCR_USERNAME_FILE: `${folder.path}/secrets/user`,
        REGISTRY_CACHE_GHCR_PASSWORD_FILE: "secrets/password",
        REGISTRY_CACHE_ECR_TOKEN_FILE: "secrets/token",
      },
    });
    assert.deepEqual(credentialsOf(config, "ghcr"), ME);
    assert.deepEqual(credentialsOf(config, "ecr"), { kind: "bearer", token: "t0ken" });
  });

  it("must be whole", async (t) => {
    const folder = await configFolder(t);
    const file = `registries:
  dockerhub: { username: me }
  ghcr: { password: hunter2 }
  ecr: { token: hunter2, username: me }
`;
    const said = await folder.complaints({
      files: yaml(file),
      environment: { REGISTRY_CACHE_QUAY_PASSWORD: "hunter2" },
    });
    assert.deepEqual(said, [
      "error: REGISTRY_CACHE_QUAY_PASSWORD: there is no username for it",
      "hint: set REGISTRY_CACHE_QUAY_USERNAME or the key username",
      "error: registry-cache.yaml:2: registries.dockerhub.username: there is no password for it",
      "hint: set REGISTRY_CACHE_DOCKERHUB_PASSWORD or the key password",
      "error: registry-cache.yaml:3: registries.ghcr.password: there is no username for it",
      "hint: set REGISTRY_CACHE_GHCR_USERNAME or the key username",
      "error: registry-cache.yaml:4: registries.ecr.username: cannot be used together with a token",
      "hint: remove one of the two",
    ]);
  });

  it("in files must be readable, and are never quoted", async (t) => {
    const folder = await configFolder(t);
    const files = { empty: "\n", lines: "a\nb\n", latin1: Buffer.from([0xe9]), large: "x".repeat(64 * 1024 + 1) };
    const said = await folder.complaints({
      files,
      environment: {
        REGISTRY_CACHE_DOCKERHUB_PASSWORD_FILE: "empty",
        REGISTRY_CACHE_GHCR_PASSWORD_FILE: "lines",
        REGISTRY_CACHE_QUAY_PASSWORD_FILE: "latin1",
        REGISTRY_CACHE_GCR_PASSWORD_FILE: "large",
        REGISTRY_CACHE_K8S_PASSWORD_FILE: "hunter2",
        REGISTRY_CACHE_ECR_TOKEN: "********",
        REGISTRY_CACHE_GITLAB_PASSWORD: "x",
        REGISTRY_CACHE_GITLAB_PASSWORD_FILE: "lines",
      },
    });
    const errors = said.filter((line) => line.startsWith("error"));
    assert.deepEqual(errors.toSorted(), [
      "error: REGISTRY_CACHE_DOCKERHUB_PASSWORD_FILE: the file that it names is empty",
      "error: REGISTRY_CACHE_ECR_TOKEN: is the mask that `check` prints, not a secret",
      "error: REGISTRY_CACHE_GCR_PASSWORD_FILE: the file that it names is larger than 65536 bytes",
      "error: REGISTRY_CACHE_GHCR_PASSWORD_FILE: contains a line break or another control character",
      "error: REGISTRY_CACHE_GITLAB_PASSWORD_FILE: REGISTRY_CACHE_GITLAB_PASSWORD is set as well",
      "error: REGISTRY_CACHE_K8S_PASSWORD_FILE: the file that it names does not exist",
      "error: REGISTRY_CACHE_QUAY_PASSWORD_FILE: the file that it names is not UTF-8",
    ]);
  });
});

describe(".env", () => {
  it("beside the configuration file is read, and the environment stands above it", async (t) => {
    const folder = await configFolder(t);
    const files = {
      "etc/c.yaml": "registries: { ghcr: { username: me } }",
      "etc/.env": "# ours\nexport REGISTRY_CACHE_GHCR_PASSWORD='secret'\nREGISTRY_CACHE_DATA_DIR=/a\nOTHER=1\n",
      ".env": "REGISTRY_CACHE_DATA_DIR=/not-read\n",
    };
    const config = await folder.load({
      files,
      configPath: "etc/c.yaml",
      environment: { REGISTRY_CACHE_DATA_DIR: "/b" },
    });
    assert.deepEqual(credentialsOf(config, "ghcr"), ME);
    assert.equal(config.dataDir, "/b");
  });

  it("in this folder is read where there is no configuration file", async (t) => {
    const folder = await configFolder(t);
    assert.equal((await folder.load({ files: { ".env": "REGISTRY_CACHE_DATA_DIR=/a" } })).dataDir, "/a");
  });

  it("is checked, with its lines", async (t) => {
    const folder = await configFolder(t);
    const env = "A=1\n\nREGISTRY_CACHE_LISTN=x\nREGISTRY_CACHE_CONFIG=c.yaml\n  REGISTRY_CACHE_LOG_LEVEL = loud\n";
    assert.deepEqual(
      await folder.complaints({ files: { "etc/c.yaml": "", "etc/.env": env }, configPath: "etc/c.yaml" }),
      [
        "error: etc/.env:3: REGISTRY_CACHE_LISTN: unknown environment variable",
        "hint: did you mean REGISTRY_CACHE_LISTEN?",
        "error: etc/.env:4: REGISTRY_CACHE_CONFIG: has no effect here",
        "hint: set it in the environment, or use --config",
        'error: etc/.env:5: REGISTRY_CACHE_LOG_LEVEL: "loud" is none of the possible values',
        "hint: write one of debug, info, warn, error, silent",
      ],
    );
    assert.deepEqual(await folder.complaints({ files: { ".env": Buffer.from([0xff]) } }), [
      "error: .env: is not UTF-8",
      "hint: save the file with the encoding UTF-8",
    ]);
  });

  it("may be a folder, which has another meaning elsewhere", async (t) => {
    const folder = await configFolder(t);
    const { registries } = await folder.load({ files: { ".env/bin/python": "" } });
    assert.equal(registries.length, BUILT_IN_REGISTRIES.length);
  });
});
