import { LATE, within } from "../lib/wait.ts";
import type { FrontProcess } from "./front-process.ts";

/** A front that is too busy to answer in that time is left out. */
const ANSWER_WITHIN_MS = 2_000;

/** Questions of one kind to fronts, which answer by their number. */
export class Questions<T> {
  readonly #asked = new Map<number, (answer: T) => void>();
  #nextId = 0;

  /** Undefined where it is gone, or does not answer in time. */
  async ask(front: FrontProcess, send: (id: number) => void): Promise<T | undefined> {
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<T>();
    this.#asked.set(id, resolve);
    send(id);
    const gone = front.ended.then(() => undefined);
    const answer = await within(Promise.race([promise, gone]), ANSWER_WITHIN_MS);
    this.#asked.delete(id);
    return answer === LATE ? undefined : answer;
  }

  hear(id: number, answer: T): void {
    this.#asked.get(id)?.(answer);
  }
}
