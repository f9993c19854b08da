import { Agent, get } from "node:http";
import { Agent as TlsAgent, get as getTls } from "node:https";
import { Command } from "commander";
import type { Config } from "../config/config.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { CliError } from "./failure.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

/** Whoever watches over containers waits longer than that, and a cache that takes as long is not well. */
const ANSWER_MS_MAX = 4_000;

export function healthCommand({ terminal, exit }: Invocation): Command {
  return new Command("health")
    .summary("ask the cache that runs here whether it is ready")
    .description(
      "Ask the cache that runs on this machine, or in this container, with the same configuration whether it is ready.",
    )
    .addHelpText("after", HELP)
    .action(async (_options: unknown, command: Command) => {
      exit(await health(terminal, command.optsWithGlobals<GlobalOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache health || systemctl restart registry-cache

It ends with exit code 0 where the answer is yes, else with 1. No password and no certificate is needed for this question.`;

async function health(terminal: Terminal, options: GlobalOptions): Promise<ExitCode> {
  const url = readyUrl(await configurationOf(terminal, options));
  const status = await statusOf(url);
  if (status !== 200) throw new CliError(`${url.href} answered ${status}: it is stopping, or something else`);
  terminal.out.write(`ready: ${url.href}\n`);
  return 0;
}

/** By the first address that is listened on; where that is any address of the machine, by loopback. */
export function readyUrl({ listen, tls, acme }: Pick<Config, "listen" | "tls" | "acme">): URL {
  const [first] = listen;
  if (first === undefined || first.port === 0) {
    const hint = "give `listen` a port, such as 127.0.0.1:5000";
    throw new CliError("any free port was taken, so that nobody knows where to ask", { hint });
  }
  const scheme = first.tls && (tls !== undefined || acme !== undefined) ? "https" : "http";
  const host = LOOPBACK_OF.get(first.host) ?? first.host;
  return new URL(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${first.port}/readyz`);
}

const LOOPBACK_OF: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
]);

/** The certificate is for names, and nothing secret is said. */
async function statusOf(url: URL): Promise<number> {
  const isTls = url.protocol === "https:";
  const agent = isTls ? new TlsAgent({ rejectUnauthorized: false }) : new Agent();
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  try {
    return await new Promise<number>((resolve, reject) => {
      const asked = (isTls ? getTls : get)(url, { agent, signal, headers: { Connection: "close" } }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.on("error", reject);
    });
  } catch (error) {
    const why = signal.aborted ? `no answer within ${ANSWER_MS_MAX / 1000} s` : (error as Error).message;
    const hint = "does it run here, with this configuration? Its log says why not";
    throw new CliError(`${url.href}: ${why}`, { hint, cause: error });
  } finally {
    agent.destroy();
  }
}
