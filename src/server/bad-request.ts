import type { Duplex } from "node:stream";
import { RegistryError } from "../oci/errors.ts";
import type { Connections } from "./connections.ts";

export interface BadRequestLimits {
  /** Told to the client whose headers were longer. */
  readonly headerBytesMax: number;
  /** How long the connection stays open after the answer, so that the client can read it. */
  readonly lingerMs: number;
}

/** What Node's parser refuses never reaches a handler; it gets an answer of the specification's form all the same. */
export function badRequestAnswerer(
  connections: Connections,
  limits: BadRequestLimits,
): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return (error, socket) => {
    // The rest of a broken request goes on coming in after our answer; it is read and thrown away until we close.
    if (socket.writableEnded) return;
    // What TLS itself refuses has no answer either: nobody could read it.
    if (error.code === "ECONNRESET" || error.code?.startsWith("ERR_SSL_") === true || !socket.writable) {
      socket.destroy();
      return;
    }
    // In the middle of a response an answer would be taken for a part of its body.
    if (connections.endAfterResponses(socket)) return;
    socket.end(answerText(describe(error.code, limits)));
    const timer = setTimeout(() => socket.destroy(), limits.lingerMs);
    socket.once("close", () => clearTimeout(timer));
  };
}

/** For a client that speaks plain HTTP where TLS is expected. */
export function plainHttpAnswer(): string {
  const told = new RegistryError(400, "UNSUPPORTED", "this port speaks TLS: use https://");
  return answerText({ reason: "Bad Request", told });
}

interface Refusal {
  readonly reason: string;
  readonly told: RegistryError;
}

function answerText({ reason, told }: Refusal): string {
  const body = JSON.stringify(told.toJSON());
  return (
    `HTTP/1.1 ${told.status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

function describe(code: string | undefined, { headerBytesMax }: BadRequestLimits): Refusal {
  const refuse = (status: number, reason: string, message: string) => ({
    reason,
    told: new RegistryError(status, "UNSUPPORTED", message),
  });
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return refuse(431, "Request Header Fields Too Large", `the headers are longer than ${headerBytesMax} bytes`);
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refuse(408, "Request Timeout", "the request did not arrive in time");
    default:
      return refuse(400, "Bad Request", "the request is not valid HTTP");
  }
}
