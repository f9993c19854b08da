import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { entriesOf, ifPresent } from "./files.ts";
import { type Layout, ORIGIN_SUFFIX } from "./layout.ts";
import { registryOfPartial } from "./spool.ts";
import type { PartialsReport } from "./store.ts";

interface Partial {
  /** Undefined where a crash has left none that can be read. */
  registryId: string | undefined;
  bytes: number;
}

/**
 * How many bytes lie in `spool/`, by path: read once, then told by whoever writes there, since a fill that begins must not
 * wait for a look at each of them.
 */
export class Partials {
  readonly #partials = new Map<string, Partial>();
  readonly #open = new Set<string>();

  /** Finds what an earlier process has left. */
  async read(layout: Layout): Promise<void> {
    for (const entry of await entriesOf(layout.spools)) {
      if (entry.name.endsWith(ORIGIN_SUFFIX)) continue;
      const path = join(layout.spools, entry.name);
      const stats = await ifPresent(lstat(path));
      const registry = await registryOfPartial(path);
      const registryId = typeof registry === "string" ? registry : undefined;
      if (stats !== undefined) this.#partials.set(path, { registryId, bytes: stats.size });
    }
  }

  /** A fill writes it now: however old it looks by a clock that was stepped, it is not abandoned. */
  begin(path: string): void {
    this.#open.add(path);
  }

  isOpen(path: string): boolean {
    return this.#open.has(path);
  }

  set(path: string, registryId: string, bytes: number): void {
    const known = this.#partials.get(path);
    if (known === undefined) this.#partials.set(path, { registryId, bytes });
    else Object.assign(known, { registryId, bytes });
  }

  /** It is written to no more; `isLeft`: and stays as a partial. */
  end(path: string, isLeft: boolean): void {
    this.#open.delete(path);
    if (!isLeft || this.of(path) === 0) this.#partials.delete(path);
  }

  /** Bytes. */
  of(path: string): number {
    return this.#partials.get(path)?.bytes ?? 0;
  }

  report(): PartialsReport {
    const byRegistry = new Map<string, number>();
    let total = 0;
    for (const { registryId, bytes } of this.#partials.values()) {
      total += bytes;
      if (registryId !== undefined) byRegistry.set(registryId, (byRegistry.get(registryId) ?? 0) + bytes);
    }
    return { partials: this.#partials.size, bytes: total, byRegistry };
  }
}
