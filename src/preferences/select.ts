import type { Quadruple } from "../schema/index.ts";
import { type Candidate, isCutOff, isEmpty, type PromptCandidates } from "./candidates.ts";
import { alikeAcross } from "./selection/across-prompts.ts";
import { withinQuotas } from "./selection/domain-quotas.ts";
import { marginFault } from "./selection/margin.ts";
import { type Ranking, rankingOf } from "./selection/ranking.ts";
import { rejectedOf, type Usable } from "./selection/rejected.ts";
import { type LeftOut, leftOutReasons, type SelectionRule } from "./selection/rule.ts";
import { alikeBy } from "./selection/similarity.ts";
import { ofGroup, ranked, type SourceChoice, sourcesChosen } from "./selection/sources.ts";
import { type SpooledTexts, spooledTexts } from "./spooled-texts.ts";

export interface LeftOutPrompt {
  readonly promptId: string;
  readonly leftOut: LeftOut;
}

/** What a selection says of a response that it chose. */
export type Chosen = Pick<Candidate, "key" | "source" | "text" | "value">;

/** (y_ws) for supervised tuning. */
export interface SelectedBest {
  readonly promptId: string;
  readonly domain?: string;
  readonly sourceChosen: Chosen;
}

/** (y_ws, y_l): a preferred response of a source without one of the target. */
export interface SelectedPair extends SelectedBest {
  readonly rejected: Chosen;
}

/** (y_ws, y_wt, y_l) for WRPO. */
export interface SelectedQuadruple extends SelectedPair {
  /** What stands beside y_ws where the rule asks for several, best first. */
  readonly furtherSources?: readonly Chosen[];
  readonly targetChosen: Chosen;
  /** y_ls, the worst response of the source that gave y_ws (paper, appendix F), where it is worse than y_ws. */
  readonly sourceRejected?: Chosen;
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

/** What remains of a chosen response: whole texts of a large run need not fit into memory. */
export type Kept = (candidate: Candidate) => Chosen;

/** Is shown each prompt once it was chosen from, with y_ws as it was given: of what is left out for other prompts' sake, too. */
export type Watch = (prompt: PromptCandidates, sourceChosen: Candidate | undefined) => void;

interface SelectOptions {
  /** Whole responses unless given. */
  readonly kept?: Kept;
  readonly watch?: Watch;
}

const whole: Kept = (candidate) => candidate;

/**
 * The paper's choice for WRPO (section 3.3), and its variants: y_ws is the best response of all sources, y_wt and y_l are the best
 * and the worst of the target's own, unless the rule says otherwise. Ties are decided as `Ranking` says, and who is left out
 * as `leftOutReasons`, so the order of the responses never matters. Empty responses (white space only) never take part.
 */
export function selectQuadruples(
  prompts: Stream<PromptCandidates>,
  rule: SelectionRule,
  options: SelectOptions = {},
): Promise<Selection<SelectedQuadruple>> {
  const method = methodOf(rule);
  const { ranking, choice, from, faultOf } = method;
  const { kept = whole } = options;
  return collect(prompts, rule, options, ({ promptId, domain }, sources, target) => {
    const missing = sources.missing ?? target.missing;
    if (missing !== undefined) return missing;
    const usable = { sources: sources.usable, target: target.usable };
    const chosen = sourcesChosen(ranked(usable.sources, choice, ranking, method.alike), choice);
    if (chosen === undefined) return "too-few-source-responses";
    const [sourceChosen, ...furtherSources] = chosen;
    const targetChosen = ranking.best(usable.target)!;
    const rejected = rejectedOf(from, usable, { sourceChosen, preferred: targetChosen }, ranking);
    if (rejected === undefined) return from === "target" ? "one-target-response" : "one-source-response";
    const fault = faultOf([targetChosen, ...chosen], rejected);
    if (fault !== undefined) return fault;
    const sourceRejected = rejectedOf("same_source", usable, { sourceChosen, preferred: sourceChosen }, ranking);
    const isWorse = sourceRejected !== undefined && ranking.worth(sourceRejected) < ranking.worth(sourceChosen);
    const selected = {
      promptId,
      ...(domain === undefined ? {} : { domain }),
      sourceChosen: kept(sourceChosen),
      ...(furtherSources.length > 0 ? { furtherSources: furtherSources.map(kept) } : {}),
      targetChosen: kept(targetChosen),
      rejected: kept(rejected),
      ...(isWorse ? { sourceRejected: kept(sourceRejected) } : {}),
    };
    return { sourceChosen, selected };
  });
}

/**
 * Pairs (y_ws, y_l) without a preferred response of the target: y_ws as for WRPO, y_l from where the rule says. Where that is
 * y_ws's own source (FuseChat-3.0), the pair is of the best source whose best and worst response are within the gaps; where none
 * is, the reason is that of the first.
 */
export function selectPairs(
  prompts: Stream<PromptCandidates>,
  rule: SelectionRule,
  options: SelectOptions = {},
): Promise<Selection<SelectedPair>> {
  const method = methodOf(rule);
  const { ranking, choice, from, faultOf } = method;
  const { kept = whole } = options;
  const tryOthers = from === "same_source" && choice.of === "different_sources";
  const pairOf = (sourceChosen: Candidate, usable: Usable): { rejected: Candidate } | LeftOut => {
    const rejected = rejectedOf(from, usable, { sourceChosen, preferred: sourceChosen }, ranking);
    if (rejected === undefined) return "one-source-response";
    return faultOf([sourceChosen], rejected) ?? { rejected };
  };
  return collect(prompts, rule, options, ({ promptId, domain }, sources, target) => {
    const missing = sources.missing ?? (from === "target" ? target.missing : undefined);
    if (missing !== undefined) return missing;
    let place = 0;
    let reason: LeftOut | undefined;
    for (const sourceChosen of ranked(sources.usable, choice, ranking, method.alike)) {
      place += 1;
      if (place < (choice.rank ?? 1)) continue;
      const pair = pairOf(sourceChosen, { sources: sources.usable, target: target.usable });
      if (typeof pair !== "string") {
        const of = { promptId, ...(domain === undefined ? {} : { domain }) };
        return { sourceChosen, selected: { ...of, sourceChosen: kept(sourceChosen), rejected: kept(pair.rejected) } };
      }
      reason ??= pair;
      if (!tryOthers) break;
    }
    return reason ?? "too-few-source-responses";
  });
}

/** The choice for supervised tuning (paper, section 3.3): y_ws, as a rule the best response of all sources. The target plays no part. */
export function selectBest(
  prompts: Stream<PromptCandidates>,
  rule: SelectionRule,
  options: SelectOptions = {},
): Promise<Selection<SelectedBest>> {
  const { ranking, choice, alike } = methodOf(rule);
  const { kept = whole } = options;
  return collect(prompts, rule, options, ({ promptId, domain }, sources) => {
    if (sources.missing !== undefined) return sources.missing;
    const [sourceChosen] = sourcesChosen(ranked(sources.usable, choice, ranking, alike), { ...choice, count: 1 }) ?? [];
    if (sourceChosen === undefined) return "too-few-source-responses";
    const of = { promptId, ...(domain === undefined ? {} : { domain }) };
    return { sourceChosen, selected: { ...of, sourceChosen: kept(sourceChosen) } };
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

/** What a rule comes to. */
interface Method {
  readonly ranking: Ranking;
  readonly choice: SourceChoice;
  readonly from: NonNullable<SelectionRule["rejectedFrom"]>;
  readonly alike: (a: Candidate, b: Candidate) => boolean;
  /** Why y_l can't be learnt from beside these preferred responses, of which the first is the one that it is measured against. */
  readonly faultOf: (preferred: readonly [Candidate, ...Candidate[]], rejected: Candidate) => LeftOut | undefined;
}

function methodOf(rule: SelectionRule): Method {
  const ranking = rankingOf(rule);
  const alike = alikeBy(rule.maxSimilarity);
  return {
    ranking,
    choice: rule.sources ?? { count: 1, of: "different_sources" },
    from: rule.rejectedFrom ?? "target",
    alike,
    faultOf(preferred, rejected) {
      const fault = marginFault(ranking.worth(preferred[0]) - ranking.worth(rejected), rule);
      if (fault !== undefined) return fault;
      if (preferred.some(({ text }) => text === rejected.text)) return "texts-identical";
      return preferred.some((one) => alike(one, rejected)) ? "texts-alike" : undefined;
    },
  };
}

/** One side's responses that may be chosen, or why there are none. */
interface Side {
  readonly usable: readonly Candidate[];
  readonly missing: LeftOut | undefined;
}

function side(
  candidates: readonly Candidate[],
  { unfinished }: SelectionRule,
  none: LeftOut,
  dropped: { empty: number; unfinished: number },
): Side {
  const usable: Candidate[] = [];
  let empty = 0;
  for (const candidate of candidates) {
    if (isEmpty(candidate)) empty += 1;
    else if (!isCutOff(candidate, unfinished)) usable.push(candidate);
  }
  dropped.empty += empty;
  dropped.unfinished += candidates.length - empty - usable.length;
  if (usable.length > 0) return { usable, missing: undefined };
  const missing = candidates.length === 0 ? none : candidates.length === empty ? "empty" : "unfinished";
  return { usable, missing };
}

/** What one prompt gives, with its y_ws as it was given; or why nothing. */
type Choice<Selected> = { readonly sourceChosen: Candidate; readonly selected: Selected } | LeftOut;

async function collect<Selected extends SelectedBest>(
  prompts: Stream<PromptCandidates>,
  rule: SelectionRule,
  { watch }: SelectOptions,
  choose: (prompt: PromptCandidates, sources: Side, target: Side) => Choice<Selected>,
): Promise<Selection<Selected>> {
  const choices: (Selected | LeftOutPrompt)[] = [];
  const dropped = { empty: 0, unfinished: 0 };
  const seen = new Set<string>();
  const texts = rule.acrossPrompts === undefined ? undefined : spooledTexts("leave selection.across_prompts out");
  try {
    for await (const prompt of prompts) {
      const { promptId, target } = prompt;
      if (seen.has(promptId)) throw new Error(`the prompt ${promptId} came twice to the selection`);
      seen.add(promptId);
      const sources = rule.sources === undefined ? prompt.sources : ofGroup(prompt.sources, rule.sources);
      const choice = choose(
        prompt,
        side(sources, rule, "no-source-response", dropped),
        side(target, rule, "no-target-response", dropped),
      );
      const isChoice = typeof choice !== "string";
      watch?.(prompt, isChoice ? choice.sourceChosen : undefined);
      if (isChoice) texts?.add(choice.sourceChosen.text);
      choices.push(isChoice ? choice.selected : { promptId, leftOut: choice });
    }
    return { ...restricted(choices, rule, texts), dropped };
  } finally {
    texts?.close();
  }
}

/** The choices that remain beside those of the other prompts, and what was left out for whatever reason. */
function restricted<Selected extends SelectedBest>(
  choices: readonly (Selected | LeftOutPrompt)[],
  { acrossPrompts, maxPerDomain }: SelectionRule,
  texts: SpooledTexts | undefined,
): Omit<Selection<Selected>, "dropped"> {
  const chosen = choices.filter(isSelected);
  const alike =
    acrossPrompts === undefined
      ? new Set<string>()
      : alikeAcross(
          chosen.map(({ promptId }) => promptId),
          (index) => texts!.at(index)!,
          acrossPrompts,
        );
  const different = alike.size === 0 ? chosen : chosen.filter(({ promptId }) => !alike.has(promptId));
  const within = maxPerDomain === undefined ? undefined : withinQuotas(different, maxPerDomain);
  const selected = within === undefined ? different : different.filter(({ promptId }) => within.has(promptId));
  const leftOut = choices.flatMap((choice): LeftOutPrompt[] => {
    const { promptId } = choice;
    if (!isSelected(choice)) return [choice];
    if (alike.has(promptId)) return [{ promptId, leftOut: "alike-across-prompts" }];
    return within?.has(promptId) === false ? [{ promptId, leftOut: "domain-full" }] : [];
  });
  const counts = Object.fromEntries(Object.keys(leftOutReasons).map((reason) => [reason, 0])) as Record<
    LeftOut,
    number
  >;
  for (const { leftOut: reason } of leftOut) counts[reason] += 1;
  const isBelow = (one: SelectedBest) => isPair(one) && one.sourceChosen.value < one.rejected.value;
  return { selected, leftOut, counts, sourceBelowRejected: selected.filter(isBelow).length };
}

const isSelected = <Selected extends SelectedBest>(choice: Selected | LeftOutPrompt): choice is Selected =>
  "sourceChosen" in choice;

const isPair = (selected: SelectedBest): selected is SelectedPair => "rejected" in selected;
