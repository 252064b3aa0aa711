import type { Candidate } from "../candidates.ts";
import type { Ranking } from "./ranking.ts";

/** Whence y_l is: the target, the source that gave y_ws, or all sources. */
export type RejectedFrom = "target" | "same_source" | "sources";

/** Usable responses of one prompt. */
export interface Usable {
  readonly sources: readonly Candidate[];
  readonly target: readonly Candidate[];
}

/** y_l, the worst response of where it is from, the preferred one itself aside; undefined where there is no other. */
export function rejectedOf(
  from: RejectedFrom,
  { sources, target }: Usable,
  { sourceChosen, preferred }: { readonly sourceChosen: Candidate; readonly preferred: Candidate },
  { worst }: Pick<Ranking, "worst">,
): Candidate | undefined {
  if (from === "target") return worst(target, preferred);
  return worst(
    from === "sources" ? sources : sources.filter(({ source }) => source === sourceChosen.source),
    preferred,
  );
}
