import type { Quadruple } from "../schema/index.ts";
import {
  best,
  type Candidate,
  isEmpty,
  isUsable,
  type PromptCandidates,
  type SeveralBest,
  severalBest,
  type Unfinished,
  worst,
} from "./candidates.ts";

export interface SelectionRule {
  /** Least difference of the rewards of y_wt and y_l; equal rewards are left out whatever it says. */
  readonly minGap: number;
  /** What becomes of a response that the token limit cut off: it has no end of turn. The paper keeps them all. */
  readonly unfinished: Unfinished;
  /** How many responses of the sources stand for y_ws, and whose: one unless given, as in the paper. */
  readonly sources?: SeveralBest;
}

/** Why a prompt gave nothing to train on, in the order in which the reasons are tried. */
export const leftOutReasons = {
  "no-source-response": "no scored response of any source",
  "no-target-response": "no scored response of the target",
  empty: "every response of the sources, or of the target, is empty",
  unfinished: "every response of the sources, or of the target, was cut off by the token limit or is empty",
  "too-few-source-responses": "the sources gave fewer different usable responses than source_responses asks for",
  "one-target-response": "the target has a single usable response",
  "rewards-equal": "all responses of the target have the same reward",
  "gap-below-minimum": "best and worst response of the target are closer than min_gap",
  "texts-identical": "the dispreferred text is, word for word, one of the preferred",
} as const;
export type LeftOut = keyof typeof leftOutReasons;

export interface LeftOutPrompt {
  readonly promptId: string;
  readonly leftOut: LeftOut;
}

/** (y_ws) for supervised tuning. */
export interface SelectedBest {
  readonly promptId: string;
  readonly sourceChosen: Candidate;
}

/** (y_ws, y_wt, y_l) for WRPO. */
export interface SelectedQuadruple extends SelectedBest {
  /** What stands beside y_ws where the rule asks for several, best first. */
  readonly furtherSources?: readonly Candidate[];
  readonly targetChosen: Candidate;
  readonly rejected: Candidate;
  /** y_ls, the worst response of the source that gave y_ws (paper, appendix F), where it is worse than y_ws. */
  readonly sourceRejected?: Candidate;
}

export interface Selection<Selected extends SelectedBest> {
  /** Both lists have the order of the prompts given; each prompt stands in exactly one of them. */
  readonly selected: readonly Selected[];
  readonly leftOut: readonly LeftOutPrompt[];
  /** How many prompts each reason left out; every reason is there, with 0 where it never held. */
  readonly counts: Readonly<Record<LeftOut, number>>;
  /** Single responses that took no part. */
  readonly dropped: { readonly empty: number; readonly unfinished: number };
  /** Selected prompts whose y_ws has a lower reward than y_l: kept as in the paper, and worth knowing. */
  readonly sourceBelowRejected: number;
}

/** Prompts, at once or as they come. */
export type Stream<T> = Iterable<T> | AsyncIterable<T>;

/**
 * The paper's choice for WRPO (section 3.3): y_ws is the best response of all sources (several of the best where the
 * rule asks for them), y_wt and y_l are the best and the worst of the target's own. Ties and left-out prompts are decided as `best`, `worst` and `leftOutReasons` say, so
 * the order of the responses never matters. Empty responses (white space only) never take part.
 */
export function selectQuadruples(
  prompts: Stream<PromptCandidates>,
  rule: SelectionRule,
): Promise<Selection<SelectedQuadruple>> {
  return collect(prompts, rule, ({ promptId }, sources, target) => {
    const missing = sources.missing ?? target.missing;
    if (missing !== undefined) return missing;
    const several = rule.sources ?? { count: 1, of: "different_sources" };
    const [sourceChosen, ...furtherSources] = severalBest(sources.usable, several) as [Candidate, ...Candidate[]];
    if (furtherSources.length + 1 < several.count) return "too-few-source-responses";
    const targetChosen = best(target.usable)!;
    const rejected = worst(target.usable)!;
    const gap = targetChosen.value - rejected.value;
    if (target.usable.length === 1) return "one-target-response";
    if (gap === 0) return "rewards-equal";
    // 0.3 - 0.2 is a little less than 0.1 in binary.
    if (gap < rule.minGap * (1 - 1e-9)) return "gap-below-minimum";
    if ([targetChosen, sourceChosen, ...furtherSources].some(({ text }) => text === rejected.text))
      return "texts-identical";
    const sourceRejected = worst(sources.usable.filter(({ source }) => source === sourceChosen.source))!;
    const isWorse = sourceRejected.value < sourceChosen.value;
    return {
      promptId,
      sourceChosen,
      ...(furtherSources.length > 0 ? { furtherSources } : {}),
      targetChosen,
      rejected,
      ...(isWorse ? { sourceRejected } : {}),
    };
  });
}

/** The paper's choice for supervised tuning (section 3.3): y_ws, the best response of all sources. The target plays no part. */
export function selectBest(prompts: Stream<PromptCandidates>, rule: SelectionRule): Promise<Selection<SelectedBest>> {
  return collect(prompts, rule, ({ promptId }, sources) => {
    return sources.missing ?? { promptId, sourceChosen: best(sources.usable)! };
  });
}

/** The quadruple (x, y_ws, y_wt, y_l) of a selection. */
export function toQuadruple(selected: SelectedQuadruple, messages: Quadruple["messages"]): Quadruple {
  return {
    promptId: selected.promptId,
    messages,
    sourceChosen: selected.sourceChosen.text,
    ...(selected.furtherSources === undefined
      ? {}
      : { furtherSources: selected.furtherSources.map(({ text }) => text) }),
    targetChosen: selected.targetChosen.text,
    rejected: selected.rejected.text,
  };
}

/** One side's responses that may be chosen, or why there are none. */
interface Side {
  readonly usable: readonly Candidate[];
  readonly missing: LeftOut | undefined;
}

function side(candidates: readonly Candidate[], rule: SelectionRule, none: LeftOut): Side {
  const usable = candidates.filter((candidate) => isUsable(candidate, rule.unfinished));
  const missing = () => (candidates.length === 0 ? none : candidates.every(isEmpty) ? "empty" : "unfinished");
  return { usable, missing: usable.length > 0 ? undefined : missing() };
}

async function collect<Selected extends SelectedBest>(
  prompts: Stream<PromptCandidates>,
  rule: SelectionRule,
  choose: (prompt: PromptCandidates, sources: Side, target: Side) => Selected | LeftOut,
): Promise<Selection<Selected>> {
  const selected: Selected[] = [];
  const leftOut: LeftOutPrompt[] = [];
  const counts = Object.fromEntries(Object.keys(leftOutReasons).map((reason) => [reason, 0])) as Record<
    LeftOut,
    number
  >;
  const dropped = { empty: 0, unfinished: 0 };
  let sourceBelowRejected = 0;
  const seen = new Set<string>();
  for await (const prompt of prompts) {
    if (seen.has(prompt.promptId)) throw new Error(`the prompt ${prompt.promptId} came twice to the selection`);
    seen.add(prompt.promptId);
    const sources = side(prompt.sources, rule, "no-source-response");
    const target = side(prompt.target, rule, "no-target-response");
    for (const candidate of [...prompt.sources, ...prompt.target]) {
      if (isEmpty(candidate)) dropped.empty += 1;
      else if (!isUsable(candidate, rule.unfinished)) dropped.unfinished += 1;
    }
    const choice = choose(prompt, sources, target);
    if (typeof choice === "string") {
      leftOut.push({ promptId: prompt.promptId, leftOut: choice });
      counts[choice] += 1;
      continue;
    }
    selected.push(choice);
    if (isQuadruple(choice) && choice.sourceChosen.value < choice.rejected.value) sourceBelowRejected += 1;
  }
  return { selected, leftOut, counts, dropped, sourceBelowRejected };
}

const isQuadruple = (selected: SelectedBest): selected is SelectedQuadruple => "rejected" in selected;
