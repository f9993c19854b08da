import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Script, scriptedAsker } from "../../test/support/scripted-asker.ts";
import type { Trial, Verdict } from "../upstream/trial.ts";
import { type Answers, answersOf, type Sources } from "./answers.ts";
import { GivenUp } from "./asker.ts";
import { converse } from "./converse.ts";
import { edited } from "./edit.ts";
import { freeId } from "./questions/registries.ts";
import type { World } from "./questions/world.ts";

const NONE: Sources = { yaml: "", dotEnv: "" };

function worldOf(differs: Partial<World> = {}): World {
  return {
    hostname: "host.example.com",
    addresses: ["10.0.0.7", "192.0.2.7", "2001:db8::7", "fd00::7"],
    tryRegistry: async ({ serves }) => trial("taken", `${serves} takes user and password`),
    freeBytes: async () => 5 * 1024 ** 3,
    hasAuthority: async () => false,
    users: async () => [],
    certificateProblem: async () => undefined,
    authoritiesProblem: async () => undefined,
    ...differs,
  };
}

function trial(verdict: Verdict, message: string, quota?: Trial["quota"]): Trial {
  return { verdict, message, quota };
}

async function talk(script: Script, sources = NONE, differs: Partial<World> = {}) {
  const asker = scriptedAsker(script);
  const isNew = sources.yaml === "";
  const plan = await converse({ asker, world: worldOf(differs), before: answersOf(sources), isNew });
  assert.deepEqual(asker.unused, [], "answers that nobody asked for");
  return { ...plan, heard: asker.heard };
}

const NETWORK = [/Who is to reach/, "all"] as const;

describe("the questions", () => {
  test("Enter all the way is the default, and nothing is made beside it", async () => {
    const { answers, making } = await talk([]);
    assert.deepEqual(answers, answersOf(NONE));
    assert.deepEqual(making, { authority: undefined, tokens: [], users: [] });
  });

  test("no question is wider than a narrow terminal", async () => {
    const everything: Script = [
      [/Which registries/, ["dockerhub", "gitlab", "+"]],
      [/Its name/, "registry.corp.example"],
      [/have an account/, ["gitlab"]],
      [/User at/, "me"],
      [/Password or token/, "secret"],
      NETWORK,
      [/Which host names/, "each"],
      [/Are these right/, false],
      [/with whose certificate/, "acme"],
      [/Who may pull/, "some"],
      [/By what/, ["networks", "basic", "mtls", "paths"]],
      [/first user/, "ann"],
      [/Password for ann/, "correct horse"],
      [/The same again/, "correct horse"],
    ];
    const { heard } = await talk(everything);
    const files = await talk([[/with whose certificate/, "files"]]);
    for (const line of [...heard, ...files.heard]) assert.ok(line.includes("\n") || line.length <= 76, line);
  });

  test("with a file, Enter all the way leaves everything as it is", async () => {
    const yaml = `listen: [127.0.0.1:5000, "10.0.0.7:5443"]
url: https://proxy.example.com
tls: { mode: acme, staging: true, names: [cache.example.com] }
access: { anonymous: true, basic: { htpasswd: users } }
registries: { quay: { enabled: false, username: me }, ghcr: { hostnames: [ghcr.example.com] } }
`;
    const sources = { yaml, dotEnv: "REGISTRY_CACHE_QUAY_PASSWORD=secret\n" };
    const { answers, making } = await talk([], sources);
    assert.deepEqual(edited(sources, answers), sources);
    assert.deepEqual(making, { authority: undefined, tokens: [], users: [] });
  });

  test("who gives up at any question has given up", async () => {
    const { heard } = await talk([NETWORK]);
    const questions = heard.filter((line) => line.endsWith("?"));
    assert.ok(questions.length > 6);
    for (const question of questions) {
      const here = new RegExp(`^${question.replaceAll(/[^\w ]/g, ".")}$`);
      await assert.rejects(
        talk([...(here.test("Who is to reach the cache?") ? [] : [NETWORK]), [here, undefined]]),
        GivenUp,
      );
    }
  });
});

describe("registries", () => {
  test("one of one's own gets a short name from its own name, and where it is", async () => {
    const { answers } = await talk([
      [/Which registries/, ["dockerhub", "+"]],
      [/Its name/, "registry.corp.example:5000"],
      [/The next one/, "docker.corp.example"],
      [/Where is it/, "https://registry.corp.example:5000"],
      [/Where is it/, "http://10.0.0.7/"],
    ]);
    const on = answers.registries.filter(({ isOn }) => isOn);
    assert.deepEqual(
      on.map(({ id, serves, upstream }) => [id, serves, upstream]),
      [
        ["dockerhub", "docker.io", "https://registry-1.docker.io"],
        ["corp", "registry.corp.example:5000", "https://registry.corp.example:5000"],
        ["corp-2", "docker.corp.example", "http://10.0.0.7"],
      ],
    );
  });

  test("none at all is asked again", async () => {
    const { heard, answers } = await talk([[/Which registries/, []]]);
    assert.ok(heard.includes("warning: A cache needs one registry at least."));
    assert.ok(answers.registries.every(({ isOn }) => isOn));
  });

  for (const [serves, id] of [
    ["registry.corp.example", "corp"],
    ["localhost:5001", "localhost"],
    ["10.0.0.7:5000", "own"],
    ["123.example.com", "example"],
    ["total.example.com", "example"],
  ] as const) {
    test(`${serves} is called ${id}`, () => assert.equal(freeId(serves, new Set()), id));
  }
});

describe("accounts", () => {
  const HUB: Script = [
    [/have an account/, ["dockerhub"]],
    [/User at docker/, "me"],
    [/Password or token of me/, "right"],
  ];
  const credentialsOf = ({ registries }: Answers) => registries[0]?.credentials;

  test("what is taken is kept, and what is left of the quota told", async () => {
    const quota = { limit: 200, remaining: 184, windowS: 21_600 };
    const { answers, heard } = await talk(HUB, NONE, {
      tryRegistry: async () => trial("taken", "it takes them", quota),
    });
    assert.deepEqual(credentialsOf(answers), { kind: "basic", username: "me", password: "right" });
    assert.ok(heard.includes("done: it takes them: 184 of 200 pulls in 6 h are left"));
  });

  test("what is refused is typed again, by Enter, and no password is ever shown", async () => {
    const tried: unknown[] = [];
    const { answers, heard } = await talk(
      [...HUB.slice(0, 2), [/Password or token of me/, "wrong"], [/Password or token of me/, "right"]],
      NONE,
      {
        tryRegistry: async (_registry, credentials) => {
          tried.push(credentials);
          return tried.length === 1 ? trial("refused", "it refuses them") : trial("taken", "it takes them");
        },
      },
    );
    assert.equal(tried.length, 2);
    assert.deepEqual(credentialsOf(answers), { kind: "basic", username: "me", password: "right" });
    assert.ok(!heard.join("\n").includes("right") && !heard.join("\n").includes("wrong"));
  });

  test("of a wrong one Enter all the way makes none", async () => {
    const { answers } = await talk(HUB, NONE, { tryRegistry: async () => trial("refused", "it refuses them") });
    assert.deepEqual(credentialsOf(answers), { kind: "none" });
  });

  for (const verdict of ["unreachable", "distrusted", "failed"] as const) {
    test(`where it is ${verdict}, Enter keeps what was typed`, async () => {
      const { answers, heard } = await talk(HUB, NONE, { tryRegistry: async () => trial(verdict, "no luck") });
      assert.deepEqual(credentialsOf(answers), { kind: "basic", username: "me", password: "right" });
      assert.ok(heard.includes("warning: no luck"));
    });
  }

  test("asked again the registry may have come back, and who goes without has no account", async () => {
    let count = 0;
    const away = { tryRegistry: async () => trial((count += 1) === 1 ? "unreachable" : "taken", "asked") };
    const { answers } = await talk([...HUB, [/What now/, "retry"]], NONE, away);
    assert.equal(count, 2);
    assert.equal(credentialsOf(answers)?.kind, "basic");
    const gone = { tryRegistry: async () => trial("unreachable", "asked") };
    const without = await talk([...HUB, [/What now/, "without"]], NONE, gone);
    assert.deepEqual(credentialsOf(without.answers), { kind: "none" });
  });

  test("an account that is there is tried, and stays also where it is refused", async () => {
    const sources = {
      yaml: "registries: { quay: { username: me } }\n",
      dotEnv: "REGISTRY_CACHE_QUAY_PASSWORD=secret\n",
    };
    const { answers } = await talk([], sources, { tryRegistry: async () => trial("refused", "it refuses them") });
    assert.deepEqual(edited(sources, answers), sources);
    const gone = await talk([[/have an account/, []]], sources);
    assert.deepEqual(edited(sources, gone.answers).dotEnv, "");
  });
});

describe("names and addresses", () => {
  test("one for all is the address that clients are told, with the scheme and the port", async () => {
    const script: Script = [NETWORK, [/which port/, "443"], [/Which one/, "cache.example.com"]];
    assert.equal((await talk(script)).answers.url, "https://cache.example.com");
    const plain = await talk([...script, [/with whose certificate/, "off"]]);
    assert.equal(plain.answers.url, "http://cache.example.com:443");
  });

  test("one for each lies below a domain, or is typed", async () => {
    const each: Script = [NETWORK, [/Which host names/, "each"], [/Below which domain/, "cache.example.com"]];
    const below = await talk(each);
    assert.deepEqual(below.answers.registries[1]?.hostnames, ["ghcr.cache.example.com"]);
    const typed = await talk([...each, [/Are these right/, false], [/For ghcr.io/, "gh.example.com, GH.example.org"]]);
    assert.deepEqual(typed.answers.registries[1]?.hostnames, ["gh.example.com", "gh.example.org"]);
    assert.deepEqual(typed.answers.registries[0]?.hostnames, ["dockerhub.cache.example.com"]);
  });

  test("a name that stays has its address told anew where port or TLS are others", async () => {
    const sources = { yaml: "listen: 0.0.0.0:5000\nurl: http://cache.example.com:5000\n", dotEnv: "" };
    const { answers } = await talk([[/with whose certificate/, "own"]], sources);
    assert.equal(answers.url, "https://cache.example.com:5000");
    const proxied = { yaml: "url: https://cache.example.com\n", dotEnv: "" };
    const other = await talk(
      [
        [/Who is to reach/, "local"],
        [/which port/, "5001"],
      ],
      proxied,
    );
    assert.equal(other.answers.url, "https://cache.example.com");
  });

  test("an authority of one's own signs for all names and addresses", async () => {
    const { making, answers } = await talk([
      [/Who is to reach/, "typed"],
      [/Addresses/, "10.0.0.7:5443"],
    ]);
    assert.deepEqual(making.authority, {
      folder: "certificates",
      serverNames: ["host.example.com", "10.0.0.7", "localhost", "127.0.0.1"],
      clients: [],
    });
    assert.equal(answers.tls.kind, "files");
  });

  test("a name that is added to a cache with an authority of its own gets another certificate", async () => {
    const own =
      "tls: { mode: files, cert: certificates/cache.pem, key: certificates/cache-key.pem, ca: certificates/ca.pem }\n";
    const sources = { yaml: `listen: 0.0.0.0:5000\nurl: https://a.example.com:5000\n${own}`, dotEnv: "" };
    assert.equal((await talk([], sources)).making.authority, undefined);
    const { making } = await talk(
      [
        [/Which host names/, "one"],
        [/Which one/, "b.example.com"],
      ],
      sources,
    );
    assert.deepEqual(making.authority?.serverNames, ["b.example.com", "localhost", "127.0.0.1"]);
  });

  test("ACME is for the names that there are, and asks for some where there are none", async () => {
    const one = await talk([NETWORK, [/Which one/, "cache.example.com"], [/with whose certificate/, "letsencrypt"]]);
    const acme = { kind: "acme", directory: undefined, directoryCa: undefined, email: undefined };
    assert.deepEqual(one.answers.tls, { ...acme, names: ["cache.example.com"], challenge: "http-01" });
    const none = await talk([
      [/with whose certificate/, "letsencrypt"],
      [/For which host names/, "a.example.com"],
    ]);
    assert.deepEqual(none.answers.tls, { ...acme, names: ["a.example.com"], challenge: "http-01" });
    const each = await talk([
      NETWORK,
      [/which port/, "443"],
      [/Which host names/, "each"],
      [/with whose certificate/, "acme"],
      [/Where may it write/, "ops@example.com"],
    ]);
    const directory = "https://ca.example.com/acme/acme/directory";
    const expected = { ...acme, directory, email: "ops@example.com", names: undefined, challenge: "tls-alpn-01" };
    assert.deepEqual(each.answers.tls, expected);
  });

  test("files that cannot be used lead back to the question", async () => {
    const script: Script = [[/with whose certificate/, "files"]];
    const { answers, heard } = await talk(script, NONE, { certificateProblem: async () => "it is damaged" });
    assert.ok(heard.includes("warning: it is damaged"));
    assert.deepEqual(answers.tls, { kind: "off" });
    const good = await talk([...script, [/The certificate's file/, "tls/cache.crt"]]);
    assert.deepEqual(good.answers.tls, {
      kind: "files",
      cert: "tls/cache.crt",
      key: "tls/cache-key.crt",
      ca: undefined,
    });
  });
});

describe("who may pull", () => {
  test("others in the network are not let in by Enter: private networks are", async () => {
    const { access } = (await talk([NETWORK])).answers;
    assert.deepEqual(
      [access.anonymous, access.networks.includes("10.0.0.0/8"), access.networks.includes("::1")],
      [true, true, true],
    );
    // Nor is this machine itself kept out, which has addresses that are not private.
    assert.deepEqual(access.networks.slice(-2), ["192.0.2.7", "2001:db8::7"]);
  });

  test("a second time no answer is offered twice", async () => {
    const offered = async (yaml: string, question: RegExp) =>
      await talk([[question, "same"]], { yaml, dotEnv: "" }).then(
        () => true,
        (error: Error) => !error.message.startsWith("same cannot be chosen"),
      );
    const tls = "tls: { mode: files, cert: a.pem, key: b.pem }\n";
    for (const [question, yaml] of [
      [/Which host names/, "url: http://a.example.com:5000\n"],
      [/with whose certificate/, tls],
      [/Who may pull/, "access: { networks: [10.0.0.0/8] }\n"],
    ] as const) {
      assert.equal(await offered("listen: 127.0.0.1:5000\n", question), false);
      assert.equal(await offered(yaml, question), true);
    }
  });

  test("with an account at a registry not everybody may be let in", async () => {
    const account: Script = [
      [/have an account/, ["dockerhub"]],
      [/User at docker/, "me"],
      [/Password or token/, "right"],
      NETWORK,
    ];
    await assert.rejects(talk([...account, [/Who may pull/, "all"]]), /cannot be chosen/);
    const { heard, answers } = await talk([...account, [/By what/, []]]);
    assert.ok(heard.some((line) => line.startsWith("warning: With an account")));
    assert.ok(answers.access.networks.length > 0);
  });

  test("users, certificates and secret paths are made at once", async () => {
    const { answers, making } = await talk([
      NETWORK,
      [/By what/, ["basic", "mtls", "paths"]],
      [/first user/, "ann"],
      [/Password for ann/, "correct horse"],
      [/The same again/, "correct hors"],
      [/Password for ann/, "correct horse"],
      [/The same again/, "correct horse"],
      [/Clients that get/, "ci-1, ci-2"],
      [/secret path called/, "lab"],
    ]);
    assert.deepEqual(answers.access, {
      anonymous: false,
      networks: [],
      htpasswd: "users.htpasswd",
      mtlsCa: "certificates/ca.pem",
      paths: [{ name: "lab", tokenFile: "lab.token" }],
    });
    assert.deepEqual(making.users, [{ file: "users.htpasswd", name: "ann", password: "correct horse" }]);
    assert.deepEqual(making.authority?.clients, ["ci-1", "ci-2"]);
    assert.deepEqual(making.tokens, ["lab.token"]);
  });

  test("certificates cannot be asked for without TLS, nor secret paths without Docker Hub", async () => {
    const plain: Script = [NETWORK, [/with whose certificate/, "off"], [/By what/, ["mtls"]]];
    await assert.rejects(talk(plain), /needs TLS/);
    const quay: Script = [[/Which registries/, ["quay"]], NETWORK, [/By what/, ["paths"]]];
    await assert.rejects(talk(quay), /is for docker.io/);
  });

  test("who takes TLS away is asked anew, where certificates let in before", async () => {
    const tls = "tls: { mode: files, cert: a.pem, key: b.pem }\naccess: { mtls: { ca: ca.pem } }\n";
    const { answers } = await talk([[/with whose certificate/, "off"]], { yaml: tls, dotEnv: "" });
    assert.equal(answers.access.mtlsCa, undefined);
  });

  test("an authority of others signs for clients where its file is good", async () => {
    const script: Script = [NETWORK, [/By what/, ["mtls"]], [/Which authority/, "file"], [/Its file/, "ca.pem"]];
    const { answers, making } = await talk(script);
    assert.equal(answers.access.mtlsCa, "ca.pem");
    assert.deepEqual(making.authority?.clients, []);
    const damaged = await talk(script, NONE, { authoritiesProblem: async (file) => `${file} is damaged` });
    assert.equal(damaged.answers.access.mtlsCa, "certificates/ca.pem");
  });
});
