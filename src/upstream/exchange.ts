import type { RepositoryName } from "../oci/reference.ts";
import type { Answer } from "./answers.ts";
import type { Authorization, Ticket } from "./authorization.ts";
import { discard, header } from "./bodies.ts";
import { decideRedirect, isRedirect, type RedirectPolicy } from "./redirects.ts";
import type { UpstreamAsked } from "./observer.ts";
import type { HttpAnswer, Send } from "./request.ts";
import { UpstreamError } from "./upstream.ts";

/** With what is known, with what a challenge gave (perhaps a cached token), with a new token. */
const TRIES_MAX = 3;

export interface Question {
  readonly method: "GET" | "HEAD";
  readonly url: URL;
  readonly repository: RepositoryName;
  /** What for, for whoever hears of it. */
  readonly asked: UpstreamAsked;
  readonly headers?: Readonly<Record<string, string>>;
  /** A redirect status that is an answer here. */
  readonly unfollowed?: number;
}

/** Who hears of every head that comes. */
export interface ExchangeHears {
  /** Returns who hears of the bytes of its body. */
  answered(question: Question, answer: HttpAnswer, ms: number): (bytes: number) => void;
  /** The registry itself has said it, and no host that it leads to. */
  fromRegistry(answer: HttpAnswer): void;
}

/** A question with all that HTTP needs until its answer stands: tokens, one renewal of a stale one, redirects. */
export class Exchange {
  readonly #send: Send;
  readonly #turn: (signal: AbortSignal) => Promise<void>;
  readonly #authorization: Authorization;
  readonly #policy: RedirectPolicy;
  readonly #hears: ExchangeHears | undefined;

  constructor(
    send: Send,
    turn: (signal: AbortSignal) => Promise<void>,
    authorization: Authorization,
    policy: RedirectPolicy,
    hears?: ExchangeHears,
  ) {
    this.#send = send;
    this.#turn = turn;
    this.#authorization = authorization;
    this.#policy = policy;
    this.#hears = hears;
  }

  /** The registry's URL for a path. */
  url(path: string): URL {
    return new URL(path, this.#policy.upstream);
  }

  /** Resolves to whatever answer comes, a refusal included; the caller owns its body. */
  async ask(question: Question, signal: AbortSignal): Promise<Answer> {
    let { url } = question;
    for (let hops = 0; ; hops += 1) {
      const answer = await this.#askAt(url, question, signal);
      if (!isRedirect(answer.status) || answer.status === question.unfollowed) return answer;
      discard(answer);
      const verdict = decideRedirect(url, header(answer, "location"), hops, this.#policy);
      if (verdict.kind === "refuse") throw new UpstreamError(verdict.because, `${url.host}: ${verdict.reason}`);
      // Signed URLs live for minutes and for one method: the next question starts at the registry again.
      url = verdict.url;
    }
  }

  /** What a URL's own host is to get is decided for that host, so nothing of it travels on with a redirect. */
  async #askAt(url: URL, question: Question, signal: AbortSignal): Promise<Answer> {
    let ticket = await this.#authorization.known(url, question.repository, signal);
    for (let tries = 1; ; tries += 1) {
      const answer = await this.#once(url, question, ticket, signal);
      if ((answer.status !== 401 && answer.status !== 403) || tries >= TRIES_MAX) {
        return this.#finished(answer, ticket);
      }
      const renewed = await this.#renewed(answer, ticket, question, signal);
      if (renewed === undefined) return this.#finished(answer, ticket);
      discard(answer);
      ticket = renewed;
    }
  }

  async #once(url: URL, question: Question, ticket: Ticket | undefined, signal: AbortSignal): Promise<HttpAnswer> {
    // Content networks are not what a registry's limits are about.
    if (this.#isRegistry(url)) await this.#turn(signal);
    const authorization = ticket === undefined ? {} : { authorization: ticket.header };
    const sentAtMs = performance.now();
    const answer = await this.#send(
      { method: question.method, url, headers: { ...question.headers, ...authorization } },
      signal,
    );
    if (this.#hears === undefined) return answer;
    if (this.#isRegistry(url)) this.#hears.fromRegistry(answer);
    return { ...answer, received: this.#hears.answered(question, answer, performance.now() - sentAtMs) };
  }

  async #renewed(
    answer: HttpAnswer,
    ticket: Ticket | undefined,
    question: Question,
    signal: AbortSignal,
  ): Promise<Ticket | undefined> {
    try {
      return await this.#authorization.renewed(answer, ticket, question.repository, signal);
    } catch (error) {
      discard(answer);
      throw error;
    }
  }

  #finished(answer: HttpAnswer, ticket: Ticket | undefined): Answer {
    return { ...answer, fromRegistry: this.#isRegistry(answer.url), authorization: ticket?.kind ?? "none" };
  }

  #isRegistry(url: URL): boolean {
    return url.origin === this.#policy.upstream.origin;
  }
}
