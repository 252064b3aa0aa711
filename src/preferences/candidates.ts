import type { Response, Score, ScorePart } from "../schema/index.ts";

/** A response y with its reward, and what that is made of where somebody asks. */
export type Candidate = Response & Pick<Score, "value"> & { readonly parts?: readonly ScorePart[] };

/** Everything that was sampled and scored for one prompt x. */
export interface PromptCandidates {
  readonly promptId: string;
  readonly domain?: string;
  /** Responses of all sources, in any order. */
  readonly sources: readonly Candidate[];
  /** Responses of the target itself, in any order. */
  readonly target: readonly Candidate[];
}

/** What becomes of responses that the token limit cut off. */
export type Unfinished = "keep" | "drop";

/** Whether a response says nothing: no text, or white space only. */
export function isEmpty({ text }: Candidate): boolean {
  const first = text.charCodeAt(0);
  // Nearly every text begins with a sign of ASCII: a large run asks tens of millions of times.
  return !(first > 0x20 && first < 0x7f) && text.trim() === "";
}

/** Whether the token limit cut off a response that is then of no use. */
export const isCutOff = ({ finish }: Candidate, unfinished: Unfinished): boolean =>
  unfinished === "drop" && finish === "length";

/** Whether a response may be chosen. */
export const isUsable = (candidate: Candidate, unfinished: Unfinished): boolean =>
  !isEmpty(candidate) && !isCutOff(candidate, unfinished);
