import { Socket } from "node:net";
import type { Use } from "../catalog/catalog.ts";
import type { ToFront, ToOwner } from "./messages.ts";

/** Uses in one message. */
const USES_PER_MESSAGE = 2_000;

/** A front's line to the owner. */
export interface OwnerLink {
  send(message: ToOwner): void;
  /** With a connection comes its socket. */
  onMessage(hear: (message: ToFront, socket: Socket | undefined) => void): void;
  /** The owner is gone. */
  onEnd(end: () => void): void;
  /** Says the last words and waits until they are out. */
  end(message: ToOwner): Promise<void>;
}

/** Over the channel that the owner has made when it started this process. */
export function ownerLink(channel: NodeJS.Process): OwnerLink {
  const send = (message: ToOwner, sent: () => void) => {
    // Without the owner there is nobody to tell.
    if (channel.connected) channel.send?.(message, undefined, {}, () => sent());
    else sent();
  };
  return {
    send: (message) => send(message, () => undefined),
    onMessage: (hear) =>
      void channel.on("message", (message, handle) =>
        hear(message as ToFront, handle instanceof Socket ? handle : undefined),
      ),
    onEnd: (end) => void channel.once("disconnect", end),
    end: async (message) => await new Promise((resolve) => send(message, resolve)),
  };
}

/** Writes notes into the owner's notebook, which writes them into the catalog. */
export function notesOf(link: OwnerLink) {
  return {
    touch: async (uses: readonly Use[]) => {
      for (let at = 0; at < uses.length; at += USES_PER_MESSAGE) {
        link.send({ kind: "used", uses: uses.slice(at, at + USES_PER_MESSAGE) });
      }
    },
    /** A front confirms nothing. */
    confirmTags: async () => undefined,
  };
}
