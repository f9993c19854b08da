import assert from "node:assert/strict";
import { test } from "node:test";
import { CatalogNewerError } from "../catalog/errors.ts";
import { CliError, failureOf } from "./failure.ts";
import { explainStart } from "./start-errors.ts";

const config = { dataDir: "/srv/cache" };

function systemError(fields: { code: string; [field: string]: unknown }): Error {
  return Object.assign(new Error(fields.code), fields);
}

const onPort = (code: string, address: string, port: number) => systemError({ code, syscall: "listen", address, port });
const onPath = (code: string, path?: string) => systemError({ code, syscall: "mkdir", ...(path ? { path } : {}) });

for (const [what, error, text] of [
  [
    "a port that is in use",
    onPort("EADDRINUSE", "127.0.0.1", 5000),
    `error: cannot listen on 127.0.0.1:5000: the port is in use
hint: stop the program that listens there, or choose another port: REGISTRY_CACHE_LISTEN=127.0.0.1:5001
`,
  ],
  [
    "an IPv6 port that is in use",
    onPort("EADDRINUSE", "::1", 65_535),
    `error: cannot listen on [::1]:65535: the port is in use
hint: stop the program that listens there, or choose another port: REGISTRY_CACHE_LISTEN=[::1]:5000
`,
  ],
  [
    "a port for the privileged",
    onPort("EACCES", "0.0.0.0", 80),
    `error: cannot listen on 0.0.0.0:80: not permitted
hint: ports below 1024 need the right to them: \`AmbientCapabilities=CAP_NET_BIND_SERVICE\` in the systemd unit, \`--cap-add NET_BIND_SERVICE\` in a container; or choose a higher port: REGISTRY_CACHE_LISTEN=0.0.0.0:5000
`,
  ],
  [
    "an address of another machine",
    onPort("EADDRNOTAVAIL", "192.0.2.1", 5000),
    `error: cannot listen on 192.0.2.1:5000: this machine has no such address
hint: listen on an address of this machine, or on 0.0.0.0 for all of them
`,
  ],
  [
    "a name without an address",
    systemError({ code: "ENOTFOUND", syscall: "getaddrinfo", hostname: "nowhere.invalid" }),
    `error: cannot listen on nowhere.invalid: the name cannot be resolved
hint: write an address instead, such as 127.0.0.1:5000
`,
  ],
  [
    "a rarer reason not to listen",
    onPort("EAFNOSUPPORT", "::1", 5000),
    `error: cannot listen on [::1]:5000: EAFNOSUPPORT
hint: see \`listen\` in the configuration
`,
  ],
  [
    "a data folder of somebody else",
    onPath("EACCES", "/srv/cache/docker"),
    `error: /srv/cache/docker: not permitted
hint: let this user read and write /srv/cache, or choose another folder with \`data_dir\` or REGISTRY_CACHE_DATA_DIR
`,
  ],
  [
    "a read-only data folder",
    onPath("EROFS"),
    `error: /srv/cache: the file system is read-only
hint: choose another folder with \`data_dir\` or REGISTRY_CACHE_DATA_DIR
`,
  ],
  [
    "a data folder behind a link to nowhere",
    onPath("ENOENT", "/srv/cache"),
    `error: /srv/cache: no such folder, and it cannot be made
hint: is a disk not mounted? Otherwise choose another folder with \`data_dir\` or REGISTRY_CACHE_DATA_DIR
`,
  ],
  [
    "a data folder that is a file",
    onPath("EEXIST", "/srv/cache"),
    `error: /srv/cache: not a folder
hint: choose another folder with \`data_dir\` or REGISTRY_CACHE_DATA_DIR
`,
  ],
  [
    "a full disk, found out by a room that wraps the system's error",
    new Error("no room", { cause: onPath("ENOSPC", "/srv/cache/x") }),
    `error: /srv/cache/x: no room left on its disk
hint: make room there, or choose another folder with \`data_dir\` or REGISTRY_CACHE_DATA_DIR
`,
  ],
  [
    "a catalog of a later release",
    new CatalogNewerError(9, 1),
    `error: the catalog has schema version 9, this release knows up to 1
hint: run the release that wrote it or a later one, or move the file away and run \`registry-cache reindex\`
`,
  ],
] as const) {
  test(`the operator is told about ${what}`, () => {
    assert.deepEqual(failureOf(explainStart(error, config)), { text, exitCode: 1 });
  });
}

for (const [what, error] of [
  ["a fault of our own", new TypeError("x is not a function")],
  ["a system error that has nothing to do with starting", onPath("EMFILE")],
  ["something that is no error", "oops"],
  ["an error that is its own cause", selfCaused()],
] as const) {
  test(`${what} is left as it is`, () => assert.equal(explainStart(error, config), error));
}

function selfCaused(): Error {
  const error = new Error("x");
  error.cause = error;
  return error;
}

test("a port 80 that cannot be had is told as what it is for", () => {
  const acme = {
    directory: "https://ca.example/dir",
    directoryCa: undefined,
    email: undefined,
    names: ["a.example"],
    oneEach: false,
    challenge: { kind: "http-01", listen: { host: "0.0.0.0", port: 80 } },
  } as const;
  for (const [code, reason, hint] of [
    [
      "EADDRINUSE",
      "the port is in use",
      /\(tls\.mode: acme\): free the port, or lead port 80 .*`tls\.http_listen` names/,
    ],
    ["EACCES", "not permitted", /CAP_NET_BIND_SERVICE.*; or lead port 80 to .*`tls\.http_listen` names/],
  ] as const) {
    const told = explainStart(onPort(code, "0.0.0.0", 80), { dataDir: "/data", acme });
    assert.ok(told instanceof CliError);
    assert.equal(told.message, `cannot listen on 0.0.0.0:80: ${reason}`);
    assert.match(told.hint ?? "", hint);
    if (code === "EACCES") assert.doesNotMatch(told.hint ?? "", /free the port/);
  }
});
