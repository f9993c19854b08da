import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ValueError } from "../lib/value-error.ts";
import { answersOf, type Sources } from "./answers.ts";
import { edited } from "./edit.ts";
import { type Flags, type FlagSecrets, planOf, secretsNeeded } from "./flags.ts";

const NONE: Sources = { yaml: "", dotEnv: "" };
const NO_SECRETS: FlagSecrets = { user: undefined, registries: new Map() };

function planned(flags: Flags, sources = NONE, secrets: Partial<FlagSecrets> = {}) {
  return planOf(answersOf(sources), flags, { ...NO_SECRETS, ...secrets });
}

const on = ({ answers }: ReturnType<typeof planned>) =>
  answers.registries.filter(({ isOn }) => isOn).map(({ id }) => id);

describe("flags", () => {
  test("without one nothing is different", () => {
    const yaml = "access: { anonymous: true, basic: { htpasswd: users } }\nurl: https://proxy.example.com\n";
    const { answers, making } = planned({}, { yaml, dotEnv: "" });
    assert.deepEqual(answers, answersOf({ yaml, dotEnv: "" }));
    assert.deepEqual(making, { authority: undefined, tokens: [], users: [] });
  });

  test("registries are those that are named, and added ones", () => {
    assert.deepEqual(on(planned({ registries: ["dockerhub,ghcr", "quay"] })), ["dockerhub", "ghcr", "quay"]);
    const corp = planned({ registries: ["quay"], addRegistry: ["corp=https://registry.corp.example:5000"] });
    assert.deepEqual(on(corp), ["quay", "corp"]);
    assert.equal(corp.answers.registries.at(-1)?.serves, "registry.corp.example:5000");
    const again = { yaml: "registries: { corp: { serves: a.example, upstream: https://a.example } }\n", dotEnv: "" };
    assert.equal(on(planned({ addRegistry: ["corp=https://a.example"] }, again)).length, 10);
  });

  test("host names are one for all, or of single registries, and the others' stay or go", () => {
    const { answers } = planned({ hostnameAll: "Cache.example.com", listen: ["0.0.0.0:5000"], tls: "own" });
    assert.equal(answers.url, "https://cache.example.com:5000");
    const sources = { yaml: "registries: { quay: { hostnames: [quay.example.com] } }\n", dotEnv: "" };
    const names = (flags: Flags) => planned(flags, sources).answers.registries.flatMap(({ hostnames }) => hostnames);
    assert.deepEqual(names({ hostname: ["ghcr=ghcr.example.com"] }), ["ghcr.example.com", "quay.example.com"]);
    assert.deepEqual(names({ hostname: ["ghcr=a.example.com,b.example.com"], hostnames: false }), [
      "a.example.com",
      "b.example.com",
    ]);
  });

  test("an address that follows from the name follows what changes, and one of a proxy stays", () => {
    const own = { yaml: "listen: 0.0.0.0:5000\nurl: http://cache.example.com:5000\n", dotEnv: "" };
    assert.equal(planned({ tls: "own" }, own).answers.url, "https://cache.example.com:5000");
    assert.equal(planned({ listen: ["0.0.0.0:80"] }, own).answers.url, "http://cache.example.com");
    const proxied = { yaml: "url: https://cache.example.com\n", dotEnv: "" };
    assert.equal(planned({ listen: ["0.0.0.0:80"] }, proxied).answers.url, "https://cache.example.com");
    assert.equal(planned({ url: "" }, proxied).answers.url, undefined);
  });

  test("TLS has what goes with it", () => {
    const files = planned({ tls: "files", cert: "a.pem", key: "b.pem", ca: "c.pem" }).answers.tls;
    assert.deepEqual(files, { kind: "files", cert: "a.pem", key: "b.pem", ca: "c.pem" });
    const acme = planned({ tls: "acme", hostnameAll: "cache.example.com", acmeEmail: "ops@example.com" }).answers.tls;
    assert.deepEqual(acme, {
      kind: "acme",
      directory: undefined,
      directoryCa: undefined,
      email: "ops@example.com",
      names: ["cache.example.com"],
      challenge: "http-01",
    });
    const own = planned({ tls: "own", certificateName: ["10.0.0.7", "a.example.com"] });
    assert.deepEqual(own.making.authority, {
      folder: "certificates",
      serverNames: ["10.0.0.7", "a.example.com"],
      clients: [],
    });
  });

  test("who may pull is added to, until everybody may", () => {
    const flags = {
      network: ["10.0.0.0/8"],
      basicUser: "ann",
      mtlsCa: "own",
      client: ["ci"],
      secretPath: "lab",
      tls: "own",
    };
    const first = planned(flags, NONE, { user: "correct horse" });
    assert.deepEqual(first.answers.access, {
      anonymous: false,
      networks: ["10.0.0.0/8"],
      htpasswd: "users.htpasswd",
      mtlsCa: "certificates/ca.pem",
      paths: [{ name: "lab", tokenFile: "lab.token" }],
    });
    assert.deepEqual(first.making.users, [{ file: "users.htpasswd", name: "ann", password: "correct horse" }]);
    assert.deepEqual([first.making.tokens, first.making.authority?.clients], [["lab.token"], ["ci"]]);
    const sources = edited(NONE, first.answers);
    const { networks, anonymous } = planned({ network: ["fd00::/8"] }, sources).answers.access;
    assert.deepEqual([networks, anonymous], [["fd00::/8"], false]);
    const open = planned({ everybody: true, network: ["10.0.0.0/8"] }, sources).answers.access;
    assert.deepEqual([open.anonymous, open.htpasswd, open.networks], [true, undefined, ["10.0.0.0/8"]]);
  });

  test("who may come in without a name as well, by hand, may still when others are added", () => {
    const yaml = "access: { anonymous: true, basic: { htpasswd: users } }\n";
    assert.equal(planned({ secretPath: "lab" }, { yaml, dotEnv: "" }).answers.access.anonymous, true);
    assert.equal(planned({ basicUser: "ann" }, NONE, { user: "correct horse" }).answers.access.anonymous, false);
  });

  test("accounts have their passwords from elsewhere, and an empty name takes one away", () => {
    const flags = { username: ["dockerhub=me", "quay="], basicUser: "ann" };
    assert.deepEqual(secretsNeeded(flags), [undefined, "dockerhub"]);
    const secrets = { user: "correct horse", registries: new Map([["dockerhub", "s3cret"]]) };
    const yaml = "registries: { quay: { username: me } }\n";
    const { answers } = planned(flags, { yaml, dotEnv: "REGISTRY_CACHE_QUAY_PASSWORD=x\n" }, secrets);
    const of = (id: string) => answers.registries.find((one) => one.id === id)?.credentials;
    assert.deepEqual(of("dockerhub"), { kind: "basic", username: "me", password: "s3cret" });
    assert.deepEqual(of("quay"), { kind: "none" });
  });
});

for (const [flags, message, hint] of [
  [{ registries: ["docker.io"] }, 'there is no registry "docker.io"', "did you mean dockerhub?"],
  [{ registries: ["nowhere"] }, 'there is no registry "nowhere"', /^the registries here are dockerhub, /],
  [{ hostname: ["ghcr"] }, '--hostname "ghcr" is not ID=VALUE', "such as --hostname ghcr=ghcr.cache.example.com"],
  [{ hostname: ["none=a.example.com"] }, 'there is no registry "none"', /./],
  [{ hostnameAll: "https://a.example.com" }, '"https://a.example.com" is not a host name', /./],
  [{ addRegistry: ["dockerhub=https://a.example"] }, 'there is a registry "dockerhub" already', /./],
  [{ addRegistry: ["A=https://a.example"] }, '"A" is not a valid id for a registry', /./],
  [{ listen: ["5000"] }, '"5000" does not say who may connect', /./],
  [{ tls: "files" }, "--tls files needs --cert and --key", undefined],
  [{ cert: "a.pem" }, "--cert has no effect here", "write --tls files beside it"],
  [{ tls: "off", acmeEmail: "a@example.com" }, "--acme-email has no effect here", "write --tls acme beside it"],
  [{ tls: "acme" }, "--tls acme needs host names", "such as --hostname-all cache.example.com"],
  [{ network: ["10.0.0.0/33"] }, /"10\.0\.0\.0\/33"/, /./],
  [{ client: ["../ci"] }, '"../ci" cannot be a client\'s name', /./],
  [{ minFreeDisk: "10" }, '"10" has no unit', /./],
  [{ basicUser: "ann" }, "a password needs 8 characters at least", /./],
] as const) {
  test(`${JSON.stringify(flags)} is refused`, () => {
    assert.throws(
      () => planned(flags),
      (error: ValueError) => {
        assert.ok(error instanceof ValueError);
        if (typeof message === "string") assert.equal(error.message, message);
        else assert.match(error.message, message);
        if (hint instanceof RegExp) assert.match(error.hint ?? "", hint);
        else assert.equal(error.hint, hint);
        return true;
      },
    );
  });
}
