import { isatty } from "node:tty";
import { createFront, type Front } from "./front.ts";
import { EventLoopLag, processFacts } from "./lib/process-facts.ts";
import { createLogger } from "./lib/logger.ts";
import type { FrontSetup } from "./workers/messages.ts";
import { ownerLink } from "./workers/owner-link.ts";

// What the owner starts where several processes answer clients. It lives as long as the owner wants, and not without it.
const link = ownerLink(process);
const lag = new EventLoopLag();
lag.start();
let front: Front | undefined;

link.onEnd(() => process.exit(0));
// A terminal sends its signals to all of us; the owner says what is to be done.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
link.onMessage((message, socket) => {
  switch (message.kind) {
    case "setup":
      begin(message);
      return;
    case "connection":
      link.send({ kind: "taken", id: message.id });
      // A client that has left meanwhile leaves none.
      if (socket !== undefined) front?.accept(socket, message.listen);
      return;
    case "tag":
      front?.hear(message);
      return;
    case "gone":
      front?.forget(message.gone);
      return;
    case "tls":
      front?.useTls(message);
      return;
    case "access":
      front?.accessChanged(message);
      return;
    case "quota":
      front?.quotaChanged(message);
      return;
    case "seen":
      link.send({ kind: "seen", id: message.id, requests: front?.seen(message.client) ?? [] });
      return;
    case "fares":
      void fares(message.id);
      return;
    case "stop":
      void end();
  }
});
link.send({ kind: "awake" });

function begin(setup: FrontSetup): void {
  const log = createLogger({ ...setup.config.log, colors: isatty(1) && process.stdout.hasColors() });
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "an error that nothing caught");
    process.exit(1);
  });
  front = createFront(setup, link, log);
  link.send({ kind: "ready" });
}

async function fares(id: number): Promise<void> {
  link.send({ kind: "fares", id, facts: await processFacts(lag) });
}

async function end(): Promise<void> {
  const { cutRequests } = (await front?.stop()) ?? { cutRequests: 0 };
  await link.end({ kind: "stopped", cutRequests });
  process.exit(0);
}
