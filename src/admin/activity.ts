import type { PullActivity } from "../pull/activity.ts";

/** What clients have open, whichever process serves them. */
export interface OpenAtDoors {
  readonly requests: number;
  readonly connections: number;
}

/** What goes on in this moment; what workers do is up to a second old. */
export interface Activity extends PullActivity {
  readonly openRequests: number;
  readonly connections: number;
}

export interface ActivityView {
  now(): Activity;
}

/** `doors` and `pull` are asked each time. */
export function activityView(sources: { pull: () => PullActivity; doors: () => OpenAtDoors & Readers }): ActivityView {
  return {
    now: () => {
      const [pull, { requests, connections, storedReaders }] = [sources.pull(), sources.doors()];
      return { ...pull, storedReaders: pull.storedReaders + storedReaders, openRequests: requests, connections };
    },
  };
}

/** Of stored blobs, in other processes. */
interface Readers {
  readonly storedReaders: number;
}
