import { Command } from "commander";
import type { KnownSecrets } from "../connect/script.ts";
import type { CacheView } from "../connect/view.ts";
import type { Area, Level } from "../doctor/finding.ts";
import { isLoopback } from "../lib/loopback.ts";
import { warningsOf } from "./banner.ts";
import { configurationOf } from "./configuration.ts";
import { type ConnectCommandOptions, secretsOf, viewOf } from "./connect.ts";
import { CliError } from "./failure.ts";
import { areaText, conclusionText, titleText } from "./findings-text.ts";
import { assertTarget, runScript } from "./run-script.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface DoctorOptions extends ConnectCommandOptions {
  readonly offline?: boolean;
  readonly image?: string;
  readonly pull: boolean;
  readonly hostsDir?: string;
}

export function doctorCommand({ terminal, exit }: Invocation): Command {
  return new Command("doctor")
    .summary("find out what is wrong, with the cache or with a client")
    .description(
      "Look at everything that the cache needs on its own machine; with a client, whether this host pulls through the cache.",
    )
    .argument("[client]", "docker, containerd, podman, ... on this host, or `host` for all that are found")
    .option("--offline", "do not ask upstreams")
    .option("--json", "print JSON")
    .option("--server <url>", "with a client: the cache, where it is not the one that the configuration describes")
    .option("--ssh <user@host>", "with a client: do it there, by ssh")
    .option("--sudo", "with --ssh: by sudo there")
    .option("--image <ref>", "with a client: what is pulled")
    .option("--no-pull", "with a client: look at settings only")
    .option("--hosts-dir <folder>", "with containerd: where its hosts.toml lie")
    .option("--login <name>", "with a client: the user that the cache is shown; its password is asked for")
    .option("--password-stdin", "with --login: read the password from standard input")
    .option("--cert <file>", "with a client: the certificate that the cache is shown, PEM")
    .option("--key <file>", "its key, PEM")
    .option("--path-token-file <file>", "with a client: a file with the token of a secret path")
    .option("--ca <file>", "with a client: the authority of the cache's certificate, PEM")
    .addHelpText("after", HELP)
    .action(async (client: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<DoctorOptions>();
      exit(await (client === undefined ? onServer(terminal, options) : onHost(terminal, options, client)));
    });
}

const HELP = `
Example:
  $ registry-cache doctor
  $ registry-cache doctor docker --server https://cache.example.com
  $ registry-cache doctor host --ssh root@host-1
  $ curl -fsSL https://cache.example.com/connect/doctor | sh        # on hosts without Node.js

Exit code 0: nothing is wrong; 1: something is; 2: the command line or the configuration cannot be used.`;

const FOR_HOSTS = [
  "server",
  "ssh",
  "sudo",
  "image",
  "hostsDir",
  "login",
  "cert",
  "key",
  "pathTokenFile",
  "ca",
] as const;

async function onServer(terminal: Terminal, options: DoctorOptions): Promise<ExitCode> {
  const ofHost = FOR_HOSTS.find((one) => options[one] !== undefined);
  if (ofHost !== undefined || !options.pull) {
    const hint = "such as registry-cache doctor docker --server https://cache.example.com";
    throw new CliError("such options belong to a client", { hint, exitCode: 2 });
  }
  const config = await configurationOf(terminal, options);
  const beyondLoopback = config.listen.some(({ host }) => !isLoopback(host));
  const { serverChecks } = await import("../doctor/server.ts");
  const { runChecks } = await import("../doctor/run-checks.ts");
  const { countOf } = await import("../doctor/finding.ts");
  const isJson = options.json === true;
  const { out } = terminal;
  const giveUp = new AbortController();
  const warnings = warningsOf(config, { beyondLoopback });
  const checks = serverChecks(config, { warnings, isOffline: options.offline === true, signal: giveUp.signal });
  if (!isJson) out.write(titleText(out));
  const waiting = isJson ? undefined : showWaiting(terminal);
  const areas = await runChecks(checks, (area) => {
    waiting?.clear();
    if (!isJson) out.write(areaText(area, out));
    waiting?.show();
  });
  waiting?.clear();
  giveUp.abort();
  const count = (level: Level) => countOf(areas, level);
  out.write(isJson ? jsonText(areas, count) : conclusionText(count("problem"), count("warning"), out));
  return count("problem") === 0 ? 0 : 1;
}

function jsonText(areas: readonly Area[], count: (level: Level) => number): string {
  const findings = areas.flatMap(({ title, findings: all }) => all.map((one) => ({ area: title, ...one })));
  return `${JSON.stringify({ problems: count("problem"), warnings: count("warning"), findings })}\n`;
}

/** On a terminal, that there is something to wait for. */
function showWaiting({ err }: Terminal): { show(): void; clear(): void } {
  if (!err.isTerminal) return { show: () => undefined, clear: () => undefined };
  const show = () => err.write("\n  looking ...");
  show();
  return { show, clear: () => err.write("\r\u001b[K\u001b[1A") };
}

/** Runs the script that the cache hands out, here or there. */
async function onHost(terminal: Terminal, options: DoctorOptions, client: string): Promise<ExitCode> {
  if (options.sudo === true && options.ssh === undefined) {
    throw new CliError("--sudo belongs to --ssh", { hint: "sudo registry-cache doctor ...", exitCode: 2 });
  }
  if (options.ssh !== undefined) assertTarget(options.ssh);
  const secrets = await secretsOf(terminal, options);
  const view = await cacheOf(terminal, options, secrets);
  const { doctorScript } = await import("../doctor/script.ts");
  const host = { ssh: options.ssh, sudo: options.sudo === true };
  const { exitCode } = await runScript(terminal, host, doctorScript(view, secrets), flagsOf(terminal, options, client));
  return exitCode === 0 ? 0 : exitCode === 2 ? 2 : 1;
}

async function cacheOf(terminal: Terminal, options: DoctorOptions, secrets: KnownSecrets): Promise<CacheView> {
  // On another host the address has to mean the same.
  if (options.server !== undefined || options.ssh !== undefined) return await viewOf(terminal, options, secrets);
  const { configuredView } = await import("../connect/configured.ts");
  return configuredView(await configurationOf(terminal, options)).view;
}

function flagsOf({ out }: Terminal, { image, pull, hostsDir, json }: DoctorOptions, client: string): string[] {
  const columns = out.isTerminal ? out.columns?.() : undefined;
  return [
    ...(client === "host" ? [] : [client.toLowerCase()]),
    ...(image === undefined ? [] : ["--image", image]),
    ...(pull ? [] : ["--no-pull"]),
    ...(hostsDir === undefined ? [] : ["--hosts-dir", hostsDir]),
    ...(json === true ? ["--json"] : []),
    ...(columns === undefined ? [] : ["--width", String(columns)]),
    ...(out.hasColors ? ["--colors"] : []),
  ];
}
