import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { AccessNews } from "../access/open.ts";
import type { Use } from "../catalog/catalog.ts";
import type { ProcessFacts } from "../lib/process-facts.ts";
import { orAborted, within } from "../lib/wait.ts";
import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import type { Gone } from "../pull/gone.ts";
import type { TagState } from "../pull/held.ts";
import type { Counted } from "../server/request-sums.ts";
import type { SeenRequest } from "../server/seen.ts";
import { FrontProcess, type FrontProcessOptions } from "./front-process.ts";
import type { FrontSetup, InUse, QuotaNews, TagNews, TlsNews } from "./messages.ts";
import { Questions } from "./questions.ts";

/** A front that lived for less is not started again at once. */
const SHORT_LIFE_MS = 10_000;
const RESTART_PAUSE_MS = 1_000;
const RESTART_PAUSE_MS_MAX = 30_000;
/** Beyond the time that responses get at a stop, for a front to end by itself. */
const LAST_WORDS_MS = 2_000;

/** What fronts ask of the owner's pull room. */
export interface OwnerSide {
  tagState(repository: Repository, tag: Tag): Promise<TagState | undefined>;
  note(uses: readonly Use[]): void;
  /** What a front has answered by itself. */
  counted(counted: Counted): void;
  doubt(digest: Digest): Promise<void>;
  /** Somebody at this address has said who it is. */
  welcomed(client: string): void;
}

export interface FrontsOptions {
  readonly count: number;
  /** The file that a front runs. */
  readonly entry: string;
  readonly setup: FrontSetup;
  readonly owner: OwnerSide;
  /** Serves a connection that no front can take. */
  readonly serve: (socket: Socket, listen: number) => void;
  readonly log: Logger;
}

/** The processes that answer clients where there is more than one: each is started anew when it dies. */
export class Fronts {
  readonly #o: FrontsOptions;
  readonly #life = new AbortController();
  readonly #keepers: Promise<void>[] = [];
  readonly #running = new Set<FrontProcess>();
  /** What is open there, as each said last. */
  readonly #inUse = new Map<FrontProcess, InUse>();
  #tls: TlsNews | undefined;
  #access: AccessNews | undefined;
  readonly #quotas = new Map<string, QuotaNews>();
  readonly #seen = new Questions<readonly SeenRequest[]>();
  readonly #fares = new Questions<ProcessFacts>();
  #turn = 0;
  #cutRequests = 0;

  constructor(options: FrontsOptions) {
    this.#o = options;
  }

  /** Resolves when all of them take connections; rejects when one of them ends instead. */
  async start(): Promise<void> {
    const first = Array.from({ length: this.#o.count }, (_, index) => this.#begin(index));
    this.#keepers.push(...first.map(async (front, index) => await this.#keep(index, front)));
    await Promise.all(first.map(async (front) => await front.ready));
  }

  /** Hands a connection, with the position of the address that it came in by, to the next front in turn; it is served here while there is none. */
  take(socket: Socket, listen: number): void {
    const ready = [...this.#running].filter((front) => front.isReady);
    const front = ready[this.#turn++ % Math.max(1, ready.length)];
    if (front === undefined) this.#o.serve(socket, listen);
    else front.hand({ socket, listen });
  }

  /** Tells those who follow it where a tag points now. */
  tell(news: TagNews): void {
    for (const front of this.#running) front.send({ kind: "tag", ...news });
  }

  /** Tells all of them what is held no longer. */
  forget(gone: Gone): void {
    for (const front of this.#running) front.send({ kind: "gone", gone });
  }

  /** Gives all of them, and those that are started from now on, another certificate. */
  useTls(news: TlsNews): void {
    this.#tls = news;
    for (const front of this.#running) front.send({ kind: "tls", ...news });
  }

  /** Tells all of them, and those that are started from now on, that users or secret paths have changed. */
  accessChanged(news: AccessNews): void {
    this.#access = news;
    for (const front of this.#running) front.send({ kind: "access", ...news });
  }

  /** What is open at each of them, up to a second ago. */
  inUse(): readonly InUse[] {
    return [...this.#inUse.values()];
  }

  /** Tells all of them, and those that are started from now on, how many pulls an upstream has left. */
  quotaChanged(news: QuotaNews): void {
    this.#quotas.set(news.registryId, news);
    for (const front of this.#running) front.send({ kind: "quota", ...news });
  }

  /** What a client has lately asked of any of them, in no order. */
  async seen(client: string): Promise<readonly SeenRequest[]> {
    const fronts = [...this.#running].filter((front) => front.isReady);
    const ask = async (front: FrontProcess) =>
      (await this.#seen.ask(front, (id) => front.send({ kind: "seen", id, client }))) ?? [];
    return (await Promise.all(fronts.map(ask))).flat();
  }

  /** How each of them fares, by its number, from 1 on; without those that do not answer. */
  async fares(): Promise<ReadonlyMap<number, ProcessFacts>> {
    const fronts = [...this.#running].filter((front) => front.isReady);
    const ask = async (front: FrontProcess) =>
      [front.number, await this.#fares.ask(front, (id) => front.send({ kind: "fares", id }))] as const;
    const answers = await Promise.all(fronts.map(ask));
    return new Map(answers.flatMap(([number, facts]) => (facts === undefined ? [] : [[number, facts] as const])));
  }

  /** Lets responses finish within the configured time; says how many were cut. */
  async stop(): Promise<number> {
    this.#life.abort(new Error("the cache is stopping"));
    for (const front of this.#running) front.send({ kind: "stop" });
    const all = Promise.all(this.#keepers);
    await within(all, this.#o.setup.config.stopTimeoutMs + LAST_WORDS_MS);
    for (const front of this.#running) front.kill();
    await all;
    return this.#cutRequests;
  }

  #begin(index: number): FrontProcess {
    const front = new FrontProcess({
      number: index + 1,
      entry: this.#o.entry,
      hear: (message, from) => this.#hear(message, from),
    });
    this.#running.add(front);
    return front;
  }

  /** One front after the other, until the stop. */
  async #keep(index: number, first: FrontProcess): Promise<void> {
    let pauseMs = RESTART_PAUSE_MS;
    for (let front = first; ; front = this.#begin(index)) {
      const startedAtMs = performance.now();
      const returned = await front.ended;
      this.#running.delete(front);
      this.#inUse.delete(front);
      if (this.#life.signal.aborted) return returned.forEach(({ socket }) => socket.destroy());
      for (const { socket, listen } of returned) this.take(socket, listen);
      this.#o.log.error({ worker: index + 1 }, "a worker has died and is started anew");
      const wasShort = performance.now() - startedAtMs < SHORT_LIFE_MS;
      pauseMs = wasShort ? Math.min(2 * pauseMs, RESTART_PAUSE_MS_MAX) : RESTART_PAUSE_MS;
      if (wasShort) await orAborted(sleep(pauseMs), this.#life.signal).catch(() => undefined);
      if (this.#life.signal.aborted) return;
    }
  }

  #hear(message: Parameters<FrontProcessOptions["hear"]>[0], from: FrontProcess): void {
    const { owner, log, setup } = this.#o;
    switch (message.kind) {
      case "awake":
        from.send({ kind: "setup", ...setup });
        if (this.#access !== undefined) from.send({ kind: "access", ...this.#access });
        if (this.#tls !== undefined) from.send({ kind: "tls", ...this.#tls });
        for (const news of this.#quotas.values()) from.send({ kind: "quota", ...news });
        if (this.#life.signal.aborted) from.send({ kind: "stop" });
        return;
      case "follow": {
        const { repository, tag } = message;
        owner.tagState(repository, tag).then(
          (state) => state && from.send({ kind: "tag", repository, tag, state }),
          (error: unknown) => log.error({ err: error }, "a tag could not be told to a front"),
        );
        return;
      }
      case "used":
        owner.note(message.uses);
        return;
      case "counted":
        owner.counted(message.counted);
        if (this.#running.has(from)) this.#inUse.set(from, message.inUse);
        return;
      case "damaged":
        owner.doubt(message.digest).catch((error: unknown) => log.error({ err: error }, "a blob could not be hashed"));
        return;
      case "welcomed":
        owner.welcomed(message.client);
        return;
      case "seen":
        this.#seen.hear(message.id, message.requests);
        return;
      case "fares":
        this.#fares.hear(message.id, message.facts);
        return;
      case "stopped":
        this.#cutRequests += message.cutRequests;
    }
  }
}
