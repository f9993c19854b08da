import type { GoProgram } from "../../test/support/go-program.ts";
import type { CandidateName } from "./candidate.ts";

/** A candidate that is built here. */
export interface BuiltCandidate extends GoProgram {
  readonly name: CandidateName;
}

export const DISTRIBUTION_3: BuiltCandidate = {
  name: "distribution 3",
  module: "github.com/distribution/distribution/v3",
  version: "v3.1.2",
  command: "cmd/registry",
};

export const ZOT: BuiltCandidate = {
  name: "zot",
  module: "zotregistry.dev/zot/v2",
  version: "v2.1.21",
  command: "cmd/zot",
  // All that a pull-through cache needs of it.
  tags: ["sync"],
};
