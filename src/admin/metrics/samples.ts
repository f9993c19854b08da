import type { FAMILIES, FamilyName, Labels } from "./families.ts";
import type { Histogram } from "../../lib/histogram.ts";

/** A value, or a histogram where the family is one. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | Histogram;
}

type ValueOf<Name extends FamilyName> = (typeof FAMILIES)[Name]["type"] extends "histogram" ? Histogram : number;

/** What one look at everything has given, by family. */
export class Samples {
  readonly #byFamily = new Map<FamilyName, Sample[]>();

  put<Name extends FamilyName>(family: Name, labels: Labels<Name>, value: ValueOf<Name>): void {
    const samples = this.#byFamily.get(family);
    if (samples === undefined) this.#byFamily.set(family, [{ labels, value }]);
    else samples.push({ labels, value });
  }

  of(family: FamilyName): readonly Sample[] {
    return this.#byFamily.get(family) ?? [];
  }
}

/** Puts what it knows; called for each answer, so that it must be quick, and may not ask anybody outside. */
export type Collector = (samples: Samples) => void | Promise<void>;
