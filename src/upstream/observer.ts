import type { Quota } from "./quota.ts";
import type { UpstreamErrorKind } from "./upstream.ts";

/** What was asked for. */
export type UpstreamAsked = "manifest" | "blob" | "list";

/** Hears of everything that goes to an upstream and comes from there. Must not throw, and costs next to nothing. */
export interface UpstreamObserver {
  /** The head of an answer has come, from the registry or from where it has led to. */
  answered?(
    registryId: string,
    answer: {
      readonly asked: UpstreamAsked;
      readonly method: "GET" | "HEAD";
      readonly status: number;
      readonly ms: number;
    },
  ): void;
  /** Bytes of an answer's body have come; what a token service sends is not counted. */
  received?(registryId: string, asked: UpstreamAsked, bytes: number): void;
  /** A token service has given a token, or refused one. */
  tokenFetched?(registryId: string, token: { readonly isGiven: boolean; readonly ms: number }): void;
  /** A question, or a transfer, has failed. */
  failed?(registryId: string, asked: UpstreamAsked, kind: UpstreamErrorKind): void;
  /** The upstream as a whole is taken for broken from now on, or no longer. */
  availability?(registryId: string, state: { readonly isAvailable: boolean; readonly why: string | undefined }): void;
  /** What an answer has said of the pulls that are left. */
  quota?(registryId: string, quota: Quota): void;
}
