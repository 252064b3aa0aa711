import type { LedgerReader } from "../../store/index.ts";
import { type Histogram, histogram, rangeOf } from "./histogram.ts";

/** The label of the target before any training. */
export const untuned = "untuned";

/** The responses of one source in one stage, and their rewards. */
export interface SampleGroup {
  readonly stage: string;
  readonly source: string;
  /** Of a model on the held-out prompts: "untuned", "sft", "wrpo"; null for the training prompts. */
  readonly label: string | null;
  readonly asked: number;
  readonly done: number;
  readonly failed: number;
  /** Responses with a reward: all that follows is of them. */
  readonly scored: number;
  readonly unfinished: number;
  readonly meanTokens: number | null;
  readonly meanReward: number | null;
  /** All groups of a report share their bins. */
  readonly rewards: Histogram | null;
}

const heldOutStage = /^evaluation\/(.+)$/s;

/** Sources first, then the target, then the models on held-out prompts: in the order given, then from untuned to fused. */
export async function sampleGroups(
  reader: LedgerReader,
  reward: string,
  labelOrder: readonly string[],
): Promise<SampleGroup[]> {
  const draws = await reader.drawStatus();
  const collected = new Map<string, Collected>();
  for (const stage of new Set(draws.map((draw) => draw.stage))) {
    for await (const { responses } of reader.scores.byPrompt(stage, reward)) {
      for (const response of responses) {
        const id = JSON.stringify([stage, response.source]);
        const group = collected.get(id) ?? { rewards: [], tokens: 0, unfinished: 0 };
        collected.set(id, group);
        group.rewards.push(response.value);
        group.tokens += response.responseTokens;
        if (response.finish === "length") group.unfinished += 1;
      }
    }
  }
  const range = rangeOf([...collected.values()].map(({ rewards }) => rewards));
  const groups = draws.map(({ stage, source, total, done, failed }): SampleGroup => {
    const { rewards, tokens, unfinished } = collected.get(JSON.stringify([stage, source])) ?? nothing;
    const some = rewards.length > 0;
    return {
      stage,
      source,
      label: heldOutStage.exec(stage)?.[1] ?? null,
      asked: total,
      done,
      failed,
      scored: rewards.length,
      unfinished,
      meanTokens: some ? tokens / rewards.length : null,
      meanReward: some ? mean(rewards) : null,
      rewards: some && range !== undefined ? histogram(rewards, range) : null,
    };
  });
  const ranks = [...labelOrder, untuned, "sft", "wrpo"];
  const rank = ({ stage, label }: SampleGroup) => {
    if (label === null) return stage === "sources" ? -2 : -1;
    return ranks.includes(label) ? ranks.indexOf(label) : ranks.length;
  };
  return groups.sort((a, b) => rank(a) - rank(b));
}

/** The label of the model that the run is about: the last one that is not the baseline. */
export const fusedLabel = (labels: readonly string[], baseline: string): string | undefined =>
  labels.findLast((label) => label !== baseline);

interface Collected {
  readonly rewards: number[];
  tokens: number;
  unfinished: number;
}

const nothing: Collected = { rewards: [], tokens: 0, unfinished: 0 };

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
