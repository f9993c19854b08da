import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";

/** The serial number of what a server on loopback shows for a name; rejects where it is not trusted. */
export async function shown(port: number, name: string, ca: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, servername: name, ca });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerX509Certificate()?.serialNumber ?? "";
  } finally {
    socket.destroy();
  }
}

/** Renewals are seconds away, and more of them on a machine that has other things to do. */
export async function patiently(isTrue: () => Promise<boolean>): Promise<void> {
  for (const lastMs = Date.now() + 60_000; Date.now() < lastMs; await delay(50)) if (await isTrue()) return;
  assert.fail(`never came true: ${isTrue.toString()}`);
}
