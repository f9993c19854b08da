import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { builtPath, notBuilt } from "./support/built-tools.ts";
import { treeOfHost } from "../support/fake-host.ts";
import {
  assertBuilt,
  connected,
  connectedHere,
  type Connecting,
  type HostFiles,
  makeHost,
} from "./support/connected.ts";
import { buildFrom } from "./support/clients/buildkit.ts";
import { containerdPull, startContainerd } from "./support/clients/containerd.ts";
import { storageIn, treeOfLayout } from "./support/clients/containers.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import { accepts, freePort, OUTER_NAME, outerAddress } from "./support/processes.ts";
import { skipReason, toolPath } from "./support/tools.ts";
import { treeOf } from "./support/tree.ts";
import { createWorld, type World } from "./support/world.ts";

const SKIP = skipReason([
  "curl",
  "docker",
  "dockerd",
  "containerd",
  "ctr",
  "runc",
  "podman",
  "skopeo",
  "buildah",
  "tar",
]);
const NO_SSHD = !existsSync("/usr/sbin/sshd") && "not installed: sshd (apt-get install openssh-server)";
const [USER, PASSWORD] = ["ci-1", "correct horse battery"];
const TOKEN = "0123456789-secret-path-of-the-lab";
const HUB = "library/e2e:1";

/** What somebody has set before. */
const DAEMON_JSON: HostFiles = {
  "etc/docker/daemon.json": '{\n\t"debug": false, "features": {"containerd-snapshotter": false}\n}',
};
const WITH_STORE: HostFiles = { "etc/docker/daemon.json": '{ "features": { "containerd-snapshotter": true } }\n' };
const CONFIG_TOML: HostFiles = {
  "etc/containerd/config.toml": 'version = 2\n\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ""\n',
};

function ghcrImage({ published }: World): string {
  const { repository, tag } = published.images.ghcr;
  return `${repository}:${tag}`;
}

/** Graph drivers, or Engine 29 with its other store; then each of these is pulled. */
async function dockerPulls(world: World, isBuilt: boolean, references: readonly string[]): Promise<void> {
  const store = isBuilt ? "containerd" : undefined;
  const options = store === undefined ? {} : ({ store } as const);
  const engine = await DockerEngine.start(world, { ...options, configFile: "/etc/docker/daemon.json" });
  try {
    for (const reference of references) {
      await engine.docker("pull", "--quiet", reference);
      assertBuilt(world, await engine.unpackAndForget(reference));
    }
  } finally {
    await engine.stop();
  }
}

async function ctrPulls(world: World, images: readonly ("hub" | "ghcr" | "corp")[]): Promise<void> {
  const client = await containerdPull(() => "/etc/containerd/certs.d")(world);
  try {
    for (const name of images) {
      const image = world.published.images[name];
      assertBuilt(world, await client.pull({ title: "", suffix: `:${image.tag}`, platform: "amd64" }, image));
    }
  } finally {
    await client.stop();
  }
}

/** As Kubernetes' part of it has it: where hosts.toml lie. */
async function assertLoaded(world: World): Promise<void> {
  const dump = await world.runner.run([
    toolPath("containerd"),
    "--config",
    "/etc/containerd/config.toml",
    "config",
    "dump",
  ]);
  assert.match(dump, /config_path = "\/etc\/containerd\/certs\.d"/);
}

async function nerdctlPulls(world: World, reference: string): Promise<void> {
  const folder = await world.folder("c");
  const socket = path.join(folder, "s");
  const stop = await startContainerd(world, folder, socket);
  const mount = path.join(folder, "mount");
  const script = `"$NERDCTL" --address "$SOCKET" --namespace default pull --quiet "$1" && mkdir "$2" &&
    "$CTR" --address "$SOCKET" images mount "$1" "$2" && cp -a "$2/." "$3"; code=$?; "$CTR" --address "$SOCKET" images unmount --rm "$2"; exit $code`;
  const out = await world.folder("rootfs");
  const env = { NERDCTL: builtPath("nerdctl"), CTR: toolPath("ctr"), SOCKET: socket };
  try {
    await world.runner.run(["sh", "-c", script, "sh", reference, mount, out], env);
    assertBuilt(world, await treeOf(out));
  } finally {
    await stop();
  }
}

async function podmanPulls(world: World, references: readonly string[], login?: string): Promise<void> {
  const folder = await world.folder("p");
  const flags = storageIn(folder);
  const env: Record<string, string> = login === undefined ? {} : { REGISTRY_AUTH_FILE: path.join(folder, "auth.json") };
  const podman = (...args: string[]) => world.runner.run([toolPath("podman"), ...flags, ...args], env);
  if (login !== undefined) {
    const host = login.replace(/^podman login /, "");
    await world.runner.run([toolPath("podman"), "login", "--username", USER, "--password", PASSWORD, host], env);
  }
  for (const reference of references) {
    const id = (await podman("pull", "--quiet", reference)).trim();
    assertBuilt(world, await treeOf((await podman("image", "mount", id)).trim()));
  }
  const container = (
    await world.runner.run(
      [toolPath("buildah"), ...flags, "from", "--quiet", "--pull-always", references[0] ?? ""],
      env,
    )
  ).trim();
  assert.match(container, /e2e/);
  const copy = `dir:${path.join(folder, "copy")}`;
  await world.runner.run([toolPath("skopeo"), "copy", "--quiet", `docker://${references[0]}`, copy], env);
  await rm(folder, { recursive: true });
}

/** The lines of what was said that begin with a tool's name; each is run by a shell, with this tool's folder first. */
async function runsPrinted(world: World, tool: "regctl" | "crane" | "oras", said: string, env: Record<string, string>) {
  const lines = said.split("\n").filter((line) => new RegExp(`^(?:SSL_CERT_FILE=\\S+ )?${tool} `).test(line));
  const tryIt = /^try it: {3}(.*)$/m.exec(said)?.[1] ?? "";
  const PATH = `${path.dirname(builtPath(tool))}:${process.env["PATH"] ?? ""}`;
  const commands = [...lines, tryIt].map((line) => line.replaceAll(/library\/alpine:latest/g, HUB));
  for (const command of commands) await world.runner.run(["sh", "-c", command], { PATH, ...env });
}

describe("clients that are set up by the script of a cache on loopback, by plain HTTP", { skip: SKIP }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());

  test("Docker Engine, graph drivers", async () => {
    const connecting: Connecting = { client: "docker", variant: "graph-drivers" };
    await connected(world, connecting, DAEMON_JSON, async () => {
      const references = [HUB, `${world.cache.host}/ghcr.io/${ghcrImage(world)}`];
      await dockerPulls(world, false, references);
    });
  });

  test("Docker Engine 29, containerd store", { skip: notBuilt("dockerd") }, async () => {
    const connecting: Connecting = { client: "docker", variant: "containerd-store" };
    await connected(world, connecting, WITH_STORE, async () => {
      await dockerPulls(world, true, [HUB, `ghcr.io/${ghcrImage(world)}`]);
    });
  });

  test("Docker Engine 29, containerd store, with nobody else to ask", { skip: notBuilt("dockerd") }, async () => {
    const connecting: Connecting = { client: "docker?fallback=no", variant: "containerd-store" };
    await connected(world, connecting, WITH_STORE, async () => await dockerPulls(world, true, [HUB]));
  });

  test("containerd", async () => {
    await connected(world, { client: "containerd", variant: "containerd-1" }, CONFIG_TOML, async () => {
      await assertLoaded(world);
      await ctrPulls(world, ["hub", "ghcr", "corp"]);
    });
  });

  test("containerd, some registries, with nobody else to ask", async () => {
    const client = "containerd?only=ghcr.io,docker.io&fallback=no";
    await connected(world, { client, variant: "containerd-1" }, {}, async () => {
      await assertLoaded(world);
      await ctrPulls(world, ["hub", "ghcr"]);
    });
  });

  test("nerdctl", { skip: notBuilt("nerdctl") }, async () => {
    await connected(world, { client: "nerdctl" }, {}, async () => await nerdctlPulls(world, `docker.io/${HUB}`));
  });

  test("Podman, Buildah and Skopeo", async () => {
    await connected(world, { client: "podman" }, {}, async () => {
      await podmanPulls(world, [`docker.io/${HUB}`, `ghcr.io/${ghcrImage(world)}`]);
    });
  });

  test("Podman, with nobody else to ask", async () => {
    await connected(
      world,
      { client: "podman?fallback=no" },
      {},
      async () => await podmanPulls(world, [`docker.io/${HUB}`]),
    );
  });

  test("BuildKit", { skip: notBuilt("buildctl", "buildkitd") }, async () => {
    const file = { "etc/buildkit/buildkitd.toml": "debug = true\n" };
    await connected(world, { client: "buildkit" }, file, async () => {
      assertBuilt(world, await buildFrom(world, path.join(world.runner.hostRoot, "etc/buildkit/buildkitd.toml"), HUB));
    });
  });

  test("regctl", { skip: notBuilt("regctl") }, async () => {
    await connectedByHand(world, { client: "regctl" }, async (said, home) => {
      await runsPrinted(world, "regctl", said, { HOME: home });
      const layout = path.join(home, "layout");
      const copy = [builtPath("regctl"), "image", "copy", `docker.io/${HUB}`, `ocidir://${layout}:1`];
      await world.runner.run(copy, { HOME: home });
      assertBuilt(world, await treeOfLayout(world, layout));
    });
  });

  inTheRealPlaceAndBySsh(() => world);

  for (const tool of ["crane", "oras"] as const) {
    test(tool, { skip: notBuilt(tool) }, async () => {
      await connectedByHand(world, { client: tool }, async (said, home) => {
        await runsPrinted(world, tool, said, { HOME: home });
      });
    });
  }
});

/** Of clients whose settings are typed: all that is written lies in the working folder of whoever does so. */
async function connectedByHand(
  world: World,
  connecting: Connecting,
  use: (said: string, home: string) => Promise<void>,
): Promise<void> {
  const home = await world.folder("home");
  await connectedHere(world, connecting, home, async (said) => await use(said, home));
}

const NO_OUTER = outerAddress() === undefined && "this machine has no address but the loopback's";

describe(
  "clients that are set up by the script of a cache that asks who they are, by TLS of its own",
  { skip: SKIP || NO_OUTER },
  () => {
    const authority = testAuthority();
    const own = authority.issue("ci-1");
    let world: World;
    let env: Record<"mtls" | "basic" | "path", Record<string, string>>;
    let curl: Record<"mtls" | "basic" | "path", string[]>;
    before(async () => {
      const access = {
        anonymous: false,
        mtls: { ca: "clients.pem" },
        basic: { htpasswd: "users" },
        paths: [{ name: "lab", token_file: "lab.token" }],
      };
      const files = {
        "clients.pem": authority.cert,
        "client.cert": own.cert,
        "client.key": own.key,
        users: `${USER}:${hashSync(PASSWORD, 4)}\n`,
        "lab.token": TOKEN,
        password: `${PASSWORD}\n`,
        netrc: "",
      };
      world = await createWorld({ tls: true, isOuter: true, access, files });
      const file = (name: string) => path.join(world.runner.folder, name);
      await writeFile(file("cache.pem"), world.cache.ca ?? "");
      // No password on a command line, as it should be.
      await writeFile(file("curl.conf"), `user = "${USER}:${PASSWORD}"\n`, { mode: 0o600 });
      const trusts = ["--cacert", file("cache.pem")];
      curl = {
        mtls: [...trusts, "--cert", file("client.cert"), "--key", file("client.key")],
        basic: [...trusts, "--config", file("curl.conf")],
        path: trusts,
      };
      env = {
        mtls: { REGISTRY_CACHE_CLIENT_CERT: file("client.cert"), REGISTRY_CACHE_CLIENT_KEY: file("client.key") },
        basic: { REGISTRY_CACHE_USER: USER, REGISTRY_CACHE_PASSWORD_FILE: file("password") },
        path: { REGISTRY_CACHE_PATH_TOKEN_FILE: file("lab.token") },
      };
    });
    after(() => world?.end());

    /** By the name that means Docker Hub, at an address where Docker looks at certificates. */
    const outer = (way: "mtls" | "basic" | "path", more: Pick<Connecting, "client" | "variant">): Connecting => ({
      url: `https://${OUTER_NAME}:${world.cache.port}${way === "path" ? `/t/${TOKEN}` : ""}`,
      curl: curl[way],
      env: env[way],
      ...more,
    });
    /** By a name that means all registries. */
    const local = (way: "mtls" | "basic", more: Pick<Connecting, "client" | "variant">): Connecting => ({
      ...outer(way, more),
      url: `https://localhost:${world.cache.port}`,
    });

    test("Docker Engine, graph drivers, with a certificate", async () => {
      await connected(world, outer("mtls", { client: "docker", variant: "graph-drivers" }), DAEMON_JSON, async () => {
        await dockerPulls(world, false, [HUB, `${OUTER_NAME}:${world.cache.port}/${HUB}`]);
      });
    });

    for (const way of ["mtls", "basic"] as const) {
      test(`Docker Engine 29, containerd store: ${way}`, { skip: notBuilt("dockerd") }, async () => {
        await connected(world, outer(way, { client: "docker", variant: "containerd-store" }), WITH_STORE, async () => {
          await dockerPulls(world, true, [HUB]);
        });
      });

      test(`containerd: ${way}`, async () => {
        await connected(world, local(way, { client: "containerd", variant: "containerd-1" }), CONFIG_TOML, async () => {
          await ctrPulls(world, ["hub", "ghcr"]);
        });
      });

      test(`nerdctl, one registry by its own name: ${way}`, { skip: notBuilt("nerdctl") }, async () => {
        await connected(world, outer(way, { client: "nerdctl" }), {}, async () => {
          await nerdctlPulls(world, `docker.io/${HUB}`);
        });
      });

      test(`Podman, Buildah and Skopeo: ${way}`, async () => {
        await connected(world, local(way, { client: "podman" }), {}, async (said) => {
          const login = /podman login \S+/.exec(said)?.[0];
          const ghcr = `ghcr.io/${ghcrImage(world)}`;
          await podmanPulls(world, [`docker.io/${HUB}`, ghcr], way === "basic" ? login : undefined);
        });
      });
    }

    test(
      "Docker Engine 29, graph drivers, with a secret path by which the script was had",
      { skip: notBuilt("dockerd") },
      async () => {
        const connecting = {
          ...outer("path", { client: "docker?credentials=yes", variant: "graph-drivers" }),
          env: {},
        };
        await connected(world, connecting, DAEMON_JSON, async () => {
          const text = await readFile(path.join(world.runner.hostRoot, "etc/docker/daemon.json"), "utf8");
          assert.ok(text.includes(`/t/${TOKEN}`));
          await dockerPulls(world, true, [HUB]);
        });
        assert.ok(!(await world.cache.log()).includes(TOKEN));
      },
    );

    test("BuildKit, with a certificate, a user's own", { skip: notBuilt("buildctl", "buildkitd") }, async () => {
      const connecting = { ...local("mtls", { client: "buildkit" }), flags: ["--user"] };
      await connectedByHand(world, connecting, async (_, home) => {
        assertBuilt(world, await buildFrom(world, path.join(home, ".config/buildkit/buildkitd.toml"), HUB));
      });
    });

    test("regctl, with a certificate", { skip: notBuilt("regctl") }, async () => {
      await connectedByHand(world, local("mtls", { client: "regctl" }), async (said, home) => {
        await runsPrinted(world, "regctl", said, { HOME: home });
      });
    });

    test("oras, with a certificate", { skip: notBuilt("oras") }, async () => {
      await connectedByHand(world, local("mtls", { client: "oras" }), async (said, home) => {
        await runsPrinted(world, "oras", said.replace(/^try it.*$/m, ""), { HOME: home });
      });
    });
  },
);

/** Here, below this machine's own /etc as the script sees it; what it notes is gone with the shell. */
async function inTheRealPlace(world: World, commands: string, env: Record<string, string> = {}): Promise<string> {
  const script = `mount -t tmpfs none /var/lib && connect() { curl -fsSL "$URL/connect/$1" >"$HOME/script" && shift && sh "$HOME/script" "$@"; }; ${commands}`;
  return await world.runner.run(["sh", "-ec", script], { URL: `http://${world.cache.host}`, ...env });
}

/** What needs no more than a cache on loopback. */
function inTheRealPlaceAndBySsh(of: () => World): void {
  /** With such files, and none of what this machine has. */
  async function withFiles(files: HostFiles, use: (root: string) => Promise<void>): Promise<void> {
    await makeHost(of().runner.hostRoot, files);
    try {
      await use(of().runner.hostRoot);
    } finally {
      await rm(of().runner.hostRoot, { recursive: true });
    }
  }

  test("finds out which Docker Engine there is", async () => {
    await withFiles({}, async (root) => {
      const untouched = await treeOfHost(root);
      const said = await inTheRealPlace(of(), "connect docker; connect docker; connect docker --undo");
      assert.match(said, /^\+ {2}"registry-mirrors": \["http:\/\/127/m);
      assert.match(said, /^nothing to do: Docker Engine/m);
      assert.match(said, /^now run: {2}(?:systemctl reload|service) docker/m);
      assert.deepEqual(await treeOfHost(root), untouched);
    });
  });

  test("restarts what was not restarted before, and has Docker Engine restarted where a reload changes nothing", async () => {
    await withFiles({}, async () => {
      // It ends when it is told to read its settings again.
      const engine = "mount -t tmpfs none /run; sleep 600 & echo $! >/run/docker.pid; ";
      const said = await inTheRealPlace(
        of(),
        `${engine}connect docker; connect docker --restart; ! wait $!; connect docker --undo`,
      );
      assert.match(said, /^now run: {2}kill -HUP/m);
      assert.match(said, /^nothing to do: Docker Engine.*\nrunning: {2}kill -HUP/m);
      assert.match(said, /^the files are as they were; Docker Engine uses what it has read of them/m);
      assert.match(said, /^a reload takes no registry-mirrors away: /m);
      assert.match(said, /^now (?:run: {2}service docker restart|restart docker)/m);
    });
  });

  test("has Docker Engine 29 look at its new settings first", { skip: notBuilt("dockerd") }, async () => {
    const env = { PATH: `${path.dirname(builtPath("dockerd"))}:${process.env["PATH"] ?? ""}` };
    const apply = "connect docker --variant graph-drivers";
    await withFiles(DAEMON_JSON, async () => {
      assert.match(await inTheRealPlace(of(), apply, env), /"registry-mirrors"/);
    });
    await withFiles({ "etc/docker/daemon.json": '{"no-such-key": 1}' }, async (root) => {
      const untouched = await treeOfHost(root);
      await assert.rejects(inTheRealPlace(of(), apply, env), /no-such-key[^]*dockerd does not take its new settings/);
      assert.deepEqual(await treeOfHost(root), untouched);
    });
  });

  test("has containerd look at its new settings first, with what they import", async () => {
    await withFiles(CONFIG_TOML, async (root) => {
      const untouched = await treeOfHost(root);
      const said = await inTheRealPlace(
        of(),
        "connect containerd; connect containerd --diff; connect containerd --undo",
      );
      assert.match(said, /config_path = "\/etc\/containerd\/certs\.d"/);
      assert.deepEqual(await treeOfHost(root), untouched);
    });
    const table = '[plugins."io.containerd.grpc.v1.cri".registry]\n';
    for (const [files, message] of [
      [{ "etc/containerd/config.toml": "version = 2\n[plugins\n" }, /containerd does not take its new settings/],
      [
        {
          "etc/containerd/config.toml": 'version = 2\nimports = ["/etc/containerd/more.toml"]\n',
          "etc/containerd/more.toml": `version = 2\n${table}config_path = "/srv/other"\n`,
        },
        /imports has containerd look for hosts\.toml in \/srv\/other/,
      ],
    ] as const) {
      await withFiles(files, async (root) => {
        const untouched = await treeOfHost(root);
        await assert.rejects(inTheRealPlace(of(), "connect containerd"), message);
        assert.deepEqual(await treeOfHost(root), untouched);
      });
    }
  });

  test("registry-cache connect --ssh, by an SSH server: applied, pulled, undone", { skip: NO_SSHD }, async () => {
    const ssh = await startSshd(of());
    const root = of().runner.hostRoot;
    await makeHost(root, {});
    const untouched = await treeOfHost(root);
    const command = [path.resolve(import.meta.dirname, "../../bin/registry-cache"), "connect", "podman"];
    const there = ["--server", `http://${of().cache.host}`, "--ssh", "root@127.0.0.1"];
    const env = { PATH: `${ssh}:${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}` };
    try {
      const said = await of().runner.run([...command, "--apply", ...there], env);
      assert.match(said, /^\+prefix = "docker\.io"$/m);
      await podmanPulls(of(), [`docker.io/${HUB}`]);
      await of().runner.run([...command, "--undo", ...there], env);
      assert.deepEqual(await treeOfHost(root), untouched);
    } finally {
      await rm(root, { recursive: true });
    }
  });
}

/** An SSH server of its own, for root with a key of its own; gives a folder with an `ssh` that knows both. What it runs has DESTDIR. */
async function startSshd(world: World): Promise<string> {
  const folder = await world.folder("ssh");
  const file = (name: string) => path.join(folder, name);
  for (const name of ["host", "own"]) {
    await world.runner.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
  }
  const port = await freePort();
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${file("host")}`,
    `AuthorizedKeysFile ${file("own.pub")}`,
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin prohibit-password",
    `PidFile ${file("pid")}`,
    // As a login shell would have it, but for the place.
    `SetEnv "DESTDIR=${world.runner.hostRoot}"`,
  ];
  await writeFile(file("sshd.conf"), settings.map((line) => `${line}\n`).join(""));
  const knownHost = `[127.0.0.1]:${port} ${await readFile(file("host.pub"), "utf8")}`;
  await writeFile(file("known"), knownHost);
  const config = `Port ${port}\nIdentityFile ${file("own")}\nIdentitiesOnly yes\nUserKnownHostsFile ${file("known")}\nBatchMode yes\n`;
  await writeFile(file("ssh.conf"), config, { mode: 0o600 });
  await writeFile(file("ssh"), `#!/bin/sh\nexec /usr/bin/ssh -F '${file("ssh.conf")}' "$@"\n`, { mode: 0o755 });
  // It wants a folder there, which this machine may not have.
  const start = 'mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"';
  const command = ["sh", "-ec", start, "sh", file("sshd.conf")];
  const daemon = await world.runner.start("sshd", command, { ready: () => accepts(port) });
  world.onEnd(() => daemon.stop());
  return folder;
}
