import type { IncomingMessage } from "node:http";
import { LATE, within } from "../lib/wait.ts";
import { ClientGone } from "./access-log.ts";
import { ProblemError } from "./problem.ts";

export interface BodyLimits {
  readonly bytesMax: number;
  /** For all of it to come. */
  readonly msMax: number;
}

/** A body of the API: the longest are lists of images. */
export const API_BODY: BodyLimits = { bytesMax: 1024 * 1024, msMax: 30_000 };

/** The whole of a body; undefined where there is none. Rejects with a `ProblemError` where it is too long, or takes too long. */
export async function bodyOf(req: IncomingMessage, { bytesMax, msMax }: BodyLimits): Promise<Buffer | undefined> {
  if (Number(req.headers["content-length"] ?? 0) > bytesMax) throw tooLong(bytesMax);
  const body = await within(piecesOf(req, bytesMax), msMax);
  if (body === LATE) throw new ProblemError(408, "the body did not arrive in time", CLOSE);
  return body.length === 0 ? undefined : body;
}

async function piecesOf(req: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of req as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > bytesMax) throw tooLong(bytesMax);
      pieces.push(piece);
    }
  } catch (error) {
    throw error instanceof ProblemError ? error : new ClientGone("the body broke off", { cause: error });
  }
  return Buffer.concat(pieces);
}

function tooLong(bytesMax: number): ProblemError {
  return new ProblemError(413, `at most ${bytesMax} bytes`, CLOSE);
}

/** What is left of the body is no request. */
const CLOSE = { headers: { Connection: "close" } };
