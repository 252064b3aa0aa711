import type { EvaluationSummary } from "../../evaluation/index.ts";
import { counted, percent, reward } from "./format.ts";
import { fusedLabel } from "./samples.ts";

/** What the run came to, in words; the sentence of the verdict has every figure that it rests on. */
export interface Headline {
  readonly tone: "good" | "bad" | "none";
  readonly said: string;
  readonly sentence: string;
  /** What a reader must know beside it: prompts that were not compared, lengths that moved, cut-off responses. */
  readonly caveats: readonly string[];
}

/** Undefined before there is a model to compare with the baseline. */
export function headlineOf(evaluation: EvaluationSummary | null): Headline | undefined {
  if (evaluation === null) return undefined;
  const { models, baseline } = evaluation;
  const label = fusedLabel(
    models.map((model) => model.label),
    baseline,
  );
  const before = models.find((model) => model.label === baseline);
  const after = models.find((model) => model.label === label);
  if (before === undefined || after?.comparison == null || after.verdict === null) return undefined;
  const { comparison, verdict } = after;
  const subject = label === "wrpo" ? "The fused model" : `The model "${label}"`;
  const change = `mean reward ${reward(comparison.meanB)} before, ${reward(comparison.meanA)} after`;
  const said = {
    a: `${subject} is better than the untuned target on held-out prompts: ${change}.`,
    b: `${subject} is worse than the untuned target on held-out prompts: ${change}.`,
    none: `No significant difference between the ${label === "wrpo" ? "fused" : label} model and the untuned target on held-out prompts: ${change}.`,
  }[verdict.better];
  return {
    tone: verdict.better === "a" ? "good" : verdict.better === "b" ? "bad" : "none",
    said,
    sentence: verdict.sentence,
    caveats: [
      ...(comparison.unpaired === 0
        ? []
        : [
            `${counted(comparison.unpaired, "prompt")} had scored responses of one of the two models only and took no part.`,
          ]),
      ...lengthCaveat(before, after),
    ],
  };
}

type Model = EvaluationSummary["models"][number];

/** Rewards of judges favour length: a reader should know when it moved by more than a tenth. */
function lengthCaveat(before: Model, after: Model): string[] {
  const said: string[] = [];
  if (before.meanResponseTokens !== null && after.meanResponseTokens !== null && before.meanResponseTokens > 0) {
    const ratio = after.meanResponseTokens / before.meanResponseTokens;
    if (ratio > 1.1 || ratio < 1 / 1.1) {
      said.push(`Its responses are ${ratio.toFixed(2)} times as long as those of the untuned target.`);
    }
  }
  const cut = after.unfinished / Math.max(1, after.responses);
  if (cut > 0.05) said.push(`${percent(cut)} of its responses were cut off by the token limit.`);
  return said;
}
