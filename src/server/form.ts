import type { IncomingMessage } from "node:http";
import { LATE, within } from "../lib/wait.ts";
import { RegistryError } from "../oci/errors.ts";
import { ClientGone } from "./access-log.ts";

/** A form with user, password, service and scopes. */
const FORM_BYTES_MAX = 16 * 1024;
/** Clients send it in one go. */
const FORM_MS_MAX = 10_000;

/** The whole of a small body. Rejects with a `RegistryError` where it is too long, or takes too long to come. */
export async function readForm(req: IncomingMessage, msMax = FORM_MS_MAX): Promise<Buffer> {
  if (Number(req.headers["content-length"] ?? 0) > FORM_BYTES_MAX) throw refused(413, "the form is too long");
  const form = await within(piecesOf(req), msMax);
  if (form === LATE) throw refused(408, "the form did not arrive in time");
  return form;
}

async function piecesOf(req: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    // A request of a server leaves its connection when it is given up (Node's destroyer), so that there can be an answer.
    for await (const piece of req as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > FORM_BYTES_MAX) throw refused(413, "the form is too long");
      pieces.push(piece);
    }
  } catch (error) {
    throw error instanceof RegistryError ? error : new ClientGone("the form broke off", { cause: error });
  }
  return Buffer.concat(pieces);
}

/** What is left of the form is no request. */
function refused(status: 408 | 413, message: string): RegistryError {
  return new RegistryError(status, status === 413 ? "SIZE_INVALID" : "UNSUPPORTED", message, {
    headers: { Connection: "close" },
  });
}
