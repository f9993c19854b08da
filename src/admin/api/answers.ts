/** What answers look like, for programs of ours that ask. */
export type { ImageAnswer, ImagesAnswer } from "./images.ts";
export type { HistoryAnswer } from "./history.ts";
export type { StatusAnswer } from "./status.ts";
export type { EvictionAnswer } from "./evict.ts";
export type { PinAnswer, PinsAnswer } from "./pins.ts";
export type { ScrubAnswer } from "./scrub.ts";
