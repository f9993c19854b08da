import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { configFolder, yaml } from "../../test/support/config-folder.ts";

/** A file and all that is said about it. */
interface Faulty {
  readonly name: string;
  readonly file: string;
  readonly said: readonly string[];
}

function itSays({ name, file, said }: Faulty): void {
  it(name, async (t) => {
    const folder = await configFolder(t);
    assert.deepEqual(await folder.complaints({ files: yaml(file) }), said);
  });
}

describe("everything that is wrong is said at once, with its line and what would be right", () => {
  const faulty: Faulty[] = [
    {
      name: "unknown keys",
      file: `metrics: {}
lisen: 127.0.0.1:5000
log:
  levle: info
registries:
  dockerhub:
    usrname: me
    tags:
      - match: "*"
        revalidate_after: 1h
        immutable: true
`,
      said: [
        "error: registry-cache.yaml:1: metrics: unknown key",
        "hint: the keys here are listen, url, tls, access, trusted_proxies, data_dir, min_free_disk, max_size, max_age, pins, api, webhooks, default_registry, fills_max, keep_fresh_every, workers, stop_timeout, log, registries",
        "error: registry-cache.yaml:2: lisen: unknown key",
        'hint: did you mean "listen"?',
        "error: registry-cache.yaml:4: log.levle: unknown key",
        'hint: did you mean "level"?',
        "error: registry-cache.yaml:7: registries.dockerhub.usrname: unknown key",
        'hint: did you mean "username"?',
        "error: registry-cache.yaml:11: registries.dockerhub.tags[0].immutable: unknown key",
        "hint: the keys here are match, revalidate_after",
      ],
    },
    {
      name: "values of another kind",
      file: `data_dir: 5
fills_max: many
log: json
registries:
  ghcr: no
  quay: { enabled: yes, hostnames: quay.example, tags: { match: "*" }, when_deleted: keep, password: 12345 }
`,
      said: [
        "error: registry-cache.yaml:1: data_dir: must be a text, not a number",
        "hint: put it in quotes",
        "error: registry-cache.yaml:2: fills_max: must be a whole number from 1 to 1000",
        "hint: such as 16",
        "error: registry-cache.yaml:3: log: must be a mapping of keys to values, not a text",
        "hint: write `log: { format: json }`",
        "error: registry-cache.yaml:5: registries.ghcr: must be a mapping of keys to values, not a text",
        "hint: such as `enabled: ...`",
        "error: registry-cache.yaml:6: registries.quay.enabled: must be true or false, not a text",
        "hint: write true, without quotes: YAML 1.2 knows no yes and no",
        "error: registry-cache.yaml:6: registries.quay.hostnames: must be a list such as [hub.registry.example.com]",
        'error: registry-cache.yaml:6: registries.quay.tags: must be a list such as [{ match: "*", revalidate_after: 60s }]',
        'error: registry-cache.yaml:6: registries.quay.when_deleted: "keep" is none of the possible values',
        "hint: write one of serve, deny",
        "error: registry-cache.yaml:6: registries.quay.password: must be a text, not a number",
        "hint: put it in quotes",
      ],
    },
    {
      name: "what other programs take",
      file: `port: 5000
fills_max: "8"
data_dir: $HOME/data
registries:
  ghcr: false
  quay: { revalidate_after: 60s, enabled: "no" }
`,
      said: [
        "error: registry-cache.yaml:1: port: unknown key",
        'hint: did you mean "listen"?',
        "error: registry-cache.yaml:2: fills_max: must be a number, not a text",
        "hint: write it without quotes",
        "error: registry-cache.yaml:3: data_dir: has a variable in it, which only a shell replaces",
        "hint: write the whole path, beginning with /",
        "error: registry-cache.yaml:5: registries.ghcr: must be a mapping of keys to values, not `false`",
        "hint: write `ghcr: { enabled: false }`",
        "error: registry-cache.yaml:6: registries.quay.revalidate_after: unknown key",
        'hint: it belongs below `tags`, such as `tags: [{ match: "*", revalidate_after: 60s }]`',
        "error: registry-cache.yaml:6: registries.quay.enabled: must be true or false, not a text",
        "hint: write false, without quotes: YAML 1.2 knows no yes and no",
      ],
    },
    {
      name: "what could be read in two ways",
      file: `listen: 5000
min_free_disk: 10G
stop_timeout: 25
registries:
  ghcr: { tags: [{ match: latest, revalidate_after: 60 }] }
`,
      said: [
        'error: registry-cache.yaml:1: listen: "5000" does not say who may connect',
        "hint: write 127.0.0.1:5000 for this machine alone, or 0.0.0.0:5000 for the whole network",
        'error: registry-cache.yaml:2: min_free_disk: "10G" is ambiguous',
        "hint: write 10GiB (1024^3 bytes each) or 10GB (1000^3 bytes each)",
        'error: registry-cache.yaml:3: stop_timeout: "25" has no unit',
        "hint: write 25s for seconds or 25m for minutes",
        'error: registry-cache.yaml:5: registries.ghcr.tags[0].revalidate_after: "60" has no unit',
        "hint: write 60s for seconds or 60m for minutes; or one of always, never, offline",
      ],
    },
    {
      name: "names, patterns and addresses",
      file: `registries:
  corp:
    serves: corp
    upstream: https://registry.example/v2/
    hostnames: [ok.example, "https://cache.example:5000/"]
    realms: ["https://auth.example/token"]
    tags:
      - { match: "v[0-9", revalidate_after: never }
      - { match: "*" }
    ca: missing.pem
`,
      said: [
        'error: registry-cache.yaml:3: registries.corp.serves: "corp" has neither a dot nor a port',
        "hint: clients take corp/app for a repository of Docker Hub; use a name with a dot or a port",
        "error: registry-cache.yaml:4: registries.corp.upstream: has more than scheme, host and port",
        "hint: write https://registry.example",
        'error: registry-cache.yaml:5: registries.corp.hostnames[1]: "https://cache.example:5000/" is not a host name',
        "hint: write cache.example, without scheme, port and path",
        'error: registry-cache.yaml:6: registries.corp.realms[0]: "https://auth.example/token" is not a host pattern',
        "hint: such as auth.example.com or *.example.com, without https://",
        'error: registry-cache.yaml:8: registries.corp.tags[0].match: "v[0-9" is no valid pattern',
        'hint: close every bracket and brace, such as "v[0-9]*"',
        "error: registry-cache.yaml:9: registries.corp.tags[1].revalidate_after: is missing",
        "hint: such as 60s; or one of always, never, offline",
      ],
    },
  ];
  for (const one of faulty) itSays(one);
});

describe("registries that do not fit together are found", () => {
  const faulty: Faulty[] = [
    {
      name: "names and host names that two of them claim, switched off or not",
      file: `registries:
  quay: { enabled: false }
  one: { serves: quay.io, upstream: "http://one.example", hostnames: [cache.example] }
  two: { serves: index.docker.io, upstream: "http://two.example", hostnames: [two.example, Cache.example] }
  three: { serves: three.example, upstream: "http://three.example" }
  four: { serves: three.example, upstream: "http://four.example", enabled: false }
`,
      said: [
        'error: registry-cache.yaml:3: registries.one.serves: "quay.io" already belongs to "quay"',
        "hint: set what differs under registries.quay",
        'error: registry-cache.yaml:4: registries.two.serves: "index.docker.io" already belongs to "dockerhub"',
        "hint: set what differs under registries.dockerhub",
        'error: registry-cache.yaml:4: registries.two.hostnames[1]: "cache.example" already belongs to "one"',
        "hint: a name leads to one registry",
        'error: registry-cache.yaml:6: registries.four.serves: "three.example" already belongs to "three"',
        "hint: a name leads to one registry",
      ],
    },
    {
      name: "own ones that lack what built-in ones have",
      file: `registries:
  dokerhub: { username: me, password: x }
  corp: { upstream: "http://corp.example" }
  ghcr.io: { enabled: false }
`,
      said: [
        "error: registry-cache.yaml:2: registries.dokerhub: is not built in and has no serves and no upstream",
        'hint: did you mean "dockerhub"?',
        "error: registry-cache.yaml:3: registries.corp: is not built in and has no serves",
        "hint: such as `serves: registry.example.com` and `upstream: https://registry.example.com`",
        'error: registry-cache.yaml:4: registries."ghcr.io": is not a valid id for a registry',
        'hint: did you mean "ghcr", which serves ghcr.io?',
      ],
    },
    {
      name: "an unknown default",
      file: "default_registry: docker.io",
      said: [
        'error: registry-cache.yaml:1: default_registry: there is no registry "docker.io"',
        'hint: did you mean "dockerhub"?',
      ],
    },
    {
      name: "a default that is switched off",
      file: "default_registry: ghcr\nregistries: { ghcr: { enabled: false } }",
      said: [
        'error: registry-cache.yaml:1: default_registry: the default registry "ghcr" is not enabled',
        "hint: write for example `default_registry: dockerhub`",
      ],
    },
    {
      name: "a default that nobody named and that is switched off",
      file: "registries:\n  dockerhub:\n    enabled: false",
      said: [
        'error: registry-cache.yaml:3: registries.dockerhub.enabled: the default registry "dockerhub" is not enabled',
        "hint: write for example `default_registry: ghcr`",
      ],
    },
    {
      name: "rules behind one that matches everything",
      file: `registries:
  ghcr:
    tags:
      - { match: "*", revalidate_after: 1h }
      - { match: "v*", revalidate_after: never }
`,
      said: [
        "error: registry-cache.yaml:5: registries.ghcr.tags[1]: never applies, for the rule above it matches every tag",
        'hint: the first match wins: move the rule for "*" to the end',
      ],
    },
    {
      name: "what follows from another mistake is not held against the user",
      file: `fills_max: 0
default_registry: corp
registries:
  dockerhub: { enabled: false }
  corp: { serves: corp.example, upstream: corp.example, username: me }
`,
      said: [
        "error: registry-cache.yaml:1: fills_max: must be a whole number from 1 to 1000",
        "hint: such as 16",
        "error: registry-cache.yaml:5: registries.corp.upstream: is not an http:// or https:// address",
        "hint: such as https://registry.example.com or http://127.0.0.1:5001",
      ],
    },
    {
      name: "a registry's keys that stand too far to the left",
      file: "registries:\n  ghcr:\n  username: me\n",
      said: [
        "error: registry-cache.yaml:3: registries.username: must be a mapping of keys to values, not a text",
        "hint: indent it further: it belongs below the id of its registry",
      ],
    },
    {
      name: "secrets below a misspelt id are not said to be incomplete as well",
      file: "registries:\n  dokerhub:\n    username: me\n",
      said: [
        "error: registry-cache.yaml:2: registries.dokerhub: is not built in and has no serves and no upstream",
        'hint: did you mean "dockerhub"?',
      ],
    },
    {
      name: "a secret that is a variable's name",
      file: 'registries:\n  ghcr: { username: me, password: "${GHCR_PASSWORD}" }\n',
      said: [
        "error: registry-cache.yaml:2: registries.ghcr.password: is a variable's name, and variables are not replaced here",
        "hint: write the secret itself, or set its REGISTRY_CACHE_..._PASSWORD or ..._PASSWORD_FILE variable",
      ],
    },
    {
      name: "certificates that are not there",
      file: "registries:\n  ghcr:\n    ca: certs/corp.pem",
      said: [
        'error: registry-cache.yaml:3: registries.ghcr.ca: "certs/corp.pem" does not exist',
        "hint: relative names count from this file's folder",
      ],
    },
  ];
  for (const one of faulty) itSays(one);

  it("certificates that are none", async (t) => {
    const folder = await configFolder(t);
    const damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const file = "registries:\n  ghcr: { ca: empty.pem }\n  quay: { ca: damaged.pem }";
    const said = await folder.complaints({ files: { ...yaml(file), "empty.pem": "hello", "damaged.pem": damaged } });
    assert.deepEqual(said, [
      'error: registry-cache.yaml:2: registries.ghcr.ca: "empty.pem" has no certificate in PEM form',
      "hint: such a file has lines -----BEGIN CERTIFICATE-----",
      'error: registry-cache.yaml:3: registries.quay.ca: certificate 1 in "damaged.pem" is damaged',
      "hint: copy the file again",
    ]);
  });
});

describe("text that is not YAML is refused with its line", () => {
  const faulty: Faulty[] = [
    {
      name: "keys given twice",
      file: "fills_max: 1\nlog: {}\nfills_max: 2",
      said: ["error: registry-cache.yaml:3: this key was already given above", "hint: keep one of the two"],
    },
    {
      name: "tabs",
      file: "log:\n\tlevel: info",
      said: ["error: registry-cache.yaml:2: a tab is used for indentation", "hint: use spaces"],
    },
    {
      name: "two keys on one line",
      file: "log: level: info",
      said: [
        "error: registry-cache.yaml:1: two keys on one line",
        "hint: write each `key: value` on its own line, texts with a colon in quotes",
      ],
    },
    {
      name: "a key that is indented too far",
      file: "registries:\n  corp:\n    serves: a.example\n     upstream: https://a.example\n",
      said: ["error: registry-cache.yaml:4: is indented too far", "hint: keys of one mapping begin in the same column"],
    },
    {
      name: "a bracket that is not closed, with the place where it opens, and nothing of what follows",
      file: "registries:\n  corp: { serves: a.example\n  quay: {}\n",
      said: ["error: registry-cache.yaml:2: a bracket is opened here and never closed", "hint: write } where it ends"],
    },
    {
      name: "a list that is not closed",
      file: "fills_max: 1\nlisten: [127.0.0.1:5000\n",
      said: ["error: registry-cache.yaml:2: a bracket is opened here and never closed", "hint: write ] where it ends"],
    },
    {
      name: "another kind of document",
      file: "# a list\n- listen",
      said: [
        "error: registry-cache.yaml:2: must be a mapping of keys to values, not a list",
        "hint: such as `listen: ...`",
      ],
    },
  ];
  for (const one of faulty) itSays(one);
});

it("an anchor's use is blamed where it stands, its content where the anchor stands", async (t) => {
  const folder = await configFolder(t);
  const file = `registries:
  ghcr: &slow
    idle_timeout: 1
  quay: *slow
`;
  const said = await folder.complaints({ files: yaml(file) });
  assert.deepEqual(
    said.filter((line) => line.startsWith("error")),
    [
      'error: registry-cache.yaml:3: registries.ghcr.idle_timeout: "1" has no unit',
      'error: registry-cache.yaml:3: registries.quay.idle_timeout: "1" has no unit',
    ],
  );
});
