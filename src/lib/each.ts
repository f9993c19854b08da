/**
 * Works on all items, so many at once, in their order. The first failure ends it: nothing further is begun, and it rejects once what was
 * under way has ended.
 */
export async function eachOf<T>(
  items: Iterable<T>,
  atOnceMax: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const next = items[Symbol.iterator]();
  let hasFailed = false;
  const worker = async (): Promise<void> => {
    for (let item = next.next(); item.done !== true && !hasFailed; item = next.next()) {
      try {
        await work(item.value);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: atOnceMax }, worker));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
}
