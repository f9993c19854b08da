import { once } from "node:events";
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
