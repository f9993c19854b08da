import { HIGH_WATER_SHARE, LOW_WATER_SHARE, type Room, type Shortage } from "../../pull/room.ts";

/**
 * What a round that begins by itself has still to bring back, asked again and again; undefined where none begins. A budget that
 * is used above the high mark goes down to the low one; one that is between them is left alone.
 */
export async function roundOf(
  room: Pick<Room, "shortage">,
): Promise<(() => Promise<Shortage | undefined>) | undefined> {
  const high = await room.shortage([], HIGH_WATER_SHARE);
  if (high === undefined) return undefined;
  return async () => {
    const low = await room.shortage([], LOW_WATER_SHARE);
    return low === undefined ? undefined : ofThoseIn(high, low);
  };
}

/** The disk has one mark only. */
function ofThoseIn(high: Shortage, { all, disk, byRegistry }: Shortage): Shortage | undefined {
  const left = { all: high.all > 0 ? all : 0, disk, byRegistry: new Map<string, number>() };
  for (const [id, bytes] of byRegistry) if (high.byRegistry.has(id)) left.byRegistry.set(id, bytes);
  return left.all > 0 || disk > 0 || left.byRegistry.size > 0 ? left : undefined;
}
