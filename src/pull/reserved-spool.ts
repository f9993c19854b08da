import type { Hash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { Spool, SpoolOrigin, Store } from "../store/store.ts";
import type { Need, Reservation, Room } from "./room.ts";

/** A spool with room for all that will be written, as far as that is known. */
export interface ReservedSpool {
  readonly spool: Spool;
  /** Held on after a commit, until the catalog has the bytes: whoever commits releases it then. */
  readonly reservation: Reservation;
}

/**
 * Rejects with a `NoRoomError`, before anything is written, where the whole could not be kept. Before anything is evicted for it,
 * `assertMeant` has to agree.
 */
export async function openReserved(
  room: Room,
  store: Pick<Store, "openSpool" | "partialBytes">,
  digest: Digest,
  origin: SpoolOrigin,
  assertMeant: () => Promise<void>,
): Promise<ReservedSpool> {
  const { registryId, size } = origin;
  const evictedFor = async (need: Need) => {
    await assertMeant();
    return await room.reserve(need);
  };
  const there = await store.partialBytes(digest);
  const bytes = size === undefined ? room.growthBytes(0) : Math.max(0, size - there);
  const reservation = (await room.reserveNow({ registryId, bytes })) ?? (await evictedFor({ registryId, bytes }));
  try {
    const spool = await store.openSpool(digest, origin);
    return { spool: new CountedSpool(spool, room, reservation), reservation };
  } catch (error) {
    reservation.release();
    throw error;
  }
}

/** Tells the room of each byte. */
class CountedSpool implements Spool {
  readonly #spool: Spool;
  readonly #room: Room;
  readonly #reservation: Reservation;
  #bytes: number;

  constructor(spool: Spool, room: Room, reservation: Reservation) {
    this.#spool = spool;
    this.#room = room;
    this.#reservation = reservation;
    this.#bytes = spool.existingBytes;
  }

  get existingBytes(): number {
    return this.#spool.existingBytes;
  }

  async rehash(hash: Hash, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<void> {
    await this.#spool.rehash(hash, signal, onProgress);
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#reservation.bytes < bytes.length)
      await this.#room.grow(this.#reservation, Math.max(bytes.length, this.#room.growthBytes(this.#bytes)));
    await this.#spool.append(bytes);
    this.#bytes += bytes.length;
    this.#reservation.written(bytes.length);
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    return await this.#spool.read(buffer, position);
  }

  readNow(buffer: Uint8Array, position: number): number {
    return this.#spool.readNow(buffer, position);
  }

  async commit(onStored?: () => void): Promise<void> {
    await this.#spool.commit(() => {
      this.#reservation.becomes(this.#bytes);
      onStored?.();
    });
  }

  async keep(): Promise<void> {
    await this.#ended(this.#spool.keep());
  }

  async discard(): Promise<void> {
    await this.#ended(this.#spool.discard());
  }

  async close(): Promise<void> {
    await this.#spool.close();
  }

  async #ended(ending: Promise<void>): Promise<void> {
    try {
      await ending;
    } finally {
      this.#reservation.release();
    }
  }
}
