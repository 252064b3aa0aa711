import { DataError, type Place, type Turn } from "../schema/index.ts";
import type { Example, RankedText } from "./data-examples.ts";
import { type Fields, has, isFields, promptOf } from "./data-turns.ts";

/**
 * A row of UltraFeedback (Cui et al. 2024) as its authors publish it: an instruction with the completions of four models, each
 * with an `overall_score`. The pair is the best and the worst of them; of equals the first counts.
 */
export function ultraFeedback(row: Fields, place: Place): Example[] {
  const { completions } = row;
  if (!Array.isArray(completions)) throw new DataError("is no list", { ...place, field: "completions" });
  const ranked = completions.map((given: unknown, at): RankedText => {
    const field = `completions.${at}`;
    if (!isFields(given)) throw new DataError("is no completion", { ...place, field });
    if (typeof given.response !== "string") throw new DataError("is no text", { ...place, field: `${field}.response` });
    return {
      text: given.response,
      reward: rewardOf(given.overall_score),
      ...(typeof given.model === "string" ? { source: given.model } : {}),
    };
  });
  return [rankedPair(promptOf(row.instruction, place, "instruction"), ranked)];
}

/** A row of SimPO's pipeline, which the reference code uses: all responses to a prompt with the scores of a reward model. */
export const scoredResponses = (row: Fields, place: Place): Example[] => [
  rankedPair(promptOf(row.prompt, place), rankedOf(row, place)!),
];

/** The responses of such a row, also where its pair is chosen already; undefined where it has none. */
export function rankedOf(row: Fields, place: Place): RankedText[] | undefined {
  if (!has(row, "all_generated_responses") || !has(row, "all_rm_scores")) return undefined;
  const { all_generated_responses: texts, all_rm_scores: scores } = row;
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string"))
    throw new DataError("is no list of texts", { ...place, field: "all_generated_responses" });
  // Some data sets that have a pair already keep the columns of scores, and nothing in them.
  if (has(row, "chosen") && Array.isArray(scores) && scores.every((score) => score === null)) return undefined;
  if (!Array.isArray(scores) || scores.length !== texts.length)
    throw new DataError("is no list with a score for each response", { ...place, field: "all_rm_scores" });
  return texts.map((text: string, at) => ({ text, reward: rewardOf(scores[at]) }));
}

/** JSON of the field's Python has null for what is no number, and some tables have texts. */
function rewardOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}

function rankedPair(messages: Turn[], ranked: readonly RankedText[]): Example {
  const fault = faultOf(ranked);
  if (fault !== undefined) return { messages, texts: { target_chosen: [""], rejected: [""] }, ranked, fault };
  const [first] = ranked as [RankedText, ...RankedText[]];
  const best = ranked.reduce((found, one) => (one.reward > found.reward ? one : found), first);
  const worst = ranked.reduce((found, one) => (one.reward < found.reward ? one : found), first);
  return { messages, texts: { target_chosen: [best.text], rejected: [worst.text] }, ranked };
}

function faultOf(ranked: readonly RankedText[]): string | undefined {
  if (ranked.length < 2) return "there are fewer than two responses to choose from";
  if (!ranked.every(({ reward }) => Number.isFinite(reward))) return "a score is no number";
  return ranked.every(({ reward }) => reward === ranked[0]!.reward) ? "all responses have the same score" : undefined;
}
