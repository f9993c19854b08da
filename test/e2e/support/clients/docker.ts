import { rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { builtPath } from "../built-tools.ts";
import type { Client } from "../contract.ts";
import { toolPath } from "../tools.ts";
import { type Tree, treeOf } from "../tree.ts";
import type { World } from "../world.ts";

/** The parts of daemon.json that matter here. */
export interface EngineOptions {
  readonly mirrors?: readonly string[];
  readonly insecure?: readonly string[];
  /** Engine 29 with this image store, built by `make e2e-tools`; Debian's 20.10 where it is left out. */
  readonly store?: "graph drivers" | "containerd";
  /** A daemon.json that is there, in place of all that. */
  readonly configFile?: string;
}

/** A Docker Engine of its own: other folders, other socket, no bridge, no firewall rules. */
export class DockerEngine {
  readonly #world: World;
  readonly #folder: string;
  readonly #socket: string;
  #stop: () => Promise<void> = () => Promise.resolve();
  #pid = 0;

  private constructor(world: World, folder: string) {
    this.#world = world;
    this.#folder = folder;
    this.#socket = path.join(folder, "s");
  }

  static async start(world: World, options: EngineOptions): Promise<DockerEngine> {
    const folder = await world.folder("d");
    const engine = new DockerEngine(world, folder);
    const own = path.join(folder, "daemon.json");
    const { mirrors = [], insecure = [], store, configFile: config = own } = options;
    const features = store === undefined ? {} : { features: { "containerd-snapshotter": store === "containerd" } };
    await writeFile(own, JSON.stringify({ "registry-mirrors": mirrors, "insecure-registries": insecure, ...features }));
    const program = store === undefined ? toolPath("dockerd") : builtPath("dockerd");
    // Debian's command line speaks to the new engine too.
    const env = { DOCKER_MIN_API_VERSION: "1.24" };
    const places = ["data-root", "exec-root", "pidfile"].map((name) => `--${name}=${path.join(folder, name)}`);
    const network = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"];
    const host = ["--host", `unix://${engine.#socket}`, "--config-file", config];
    const ready = (): Promise<boolean> =>
      engine.docker("version").then(
        () => true,
        () => false,
      );
    const name = path.basename(folder);
    const daemon = await world.runner.start(name, [program, ...places, ...network, ...host], { ready, env });
    engine.#stop = () => daemon.stop();
    engine.#pid = daemon.pid;
    world.onEnd(engine.#stop);
    return engine;
  }

  /** As DOCKER_HOST has it. */
  get host(): string {
    return `unix://${this.#socket}`;
  }

  /** Its daemon.json. */
  get settings(): string {
    return path.join(this.#folder, "daemon.json");
  }

  /** As `systemctl reload docker` does; what comes of it shows a moment later. */
  reload(): void {
    process.kill(this.#pid, "SIGHUP");
  }

  docker(...args: string[]): Promise<string> {
    return this.dockerWith({}, ...args);
  }

  dockerWith(env: Record<string, string>, ...args: string[]): Promise<string> {
    return this.#world.runner.run([toolPath("docker"), "--host", this.host, ...args], env);
  }

  /** The files that a container of that image would see; the image and its layers are gone afterwards. */
  async unpackAndForget(image: string): Promise<Tree> {
    const root = await this.#world.folder("rootfs");
    const container = (await this.docker("create", image)).trim();
    await this.docker("export", "--output", `${root}.tar`, container);
    await this.#world.runner.run([toolPath("tar"), "-x", "-f", `${root}.tar`, "-C", root]);
    const tree = await treeOf(root);
    await rm(root, { recursive: true });
    await rm(`${root}.tar`);
    await this.docker("rm", container);
    await this.docker("system", "prune", "--all", "--force");
    return tree;
  }

  /** Stops the engine and gives its space back. */
  async stop(): Promise<void> {
    await this.#stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** `docker pull`, of references that `name` makes of a repository. */
export function dockerPull(
  name: (world: World, repository: string) => string,
  options: (world: World) => EngineOptions = () => ({}),
): (world: World) => Promise<Client> {
  return async (world) => {
    const engine = await DockerEngine.start(world, options(world));
    return {
      pull: async ({ suffix, platform }, { repository }) => {
        const reference = `${name(world, repository)}${suffix}`;
        await engine.docker("pull", "--quiet", "--platform", `linux/${platform}`, reference);
        return await engine.unpackAndForget(reference);
      },
      stop: () => engine.stop(),
    };
  };
}

/** `docker build` on top of such references, by the engine's BuildKit, which has a registry client of its own. */
export function dockerBuild(
  name: (world: World, repository: string) => string,
  options: (world: World) => EngineOptions = () => ({}),
): (world: World) => Promise<Client> {
  return async (world) => {
    const engine = await DockerEngine.start(world, options(world));
    const context = await world.folder("build");
    return {
      pull: async ({ suffix, platform }, { repository }) => {
        await writeFile(
          path.join(context, "Dockerfile"),
          `FROM ${name(world, repository)}${suffix}\nLABEL built=here\n`,
        );
        const build = ["build", "--quiet", "--platform", `linux/${platform}`, "--tag", "built", context];
        await engine.dockerWith({ DOCKER_BUILDKIT: "1" }, ...build);
        return await engine.unpackAndForget("built");
      },
      stop: () => engine.stop(),
    };
  };
}
