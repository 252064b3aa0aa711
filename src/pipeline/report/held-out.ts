import type { Finish, ScorePart } from "../../schema/index.ts";
import type { LedgerReader } from "../../store/index.ts";

/** A scored response to a held-out prompt, without its text. */
export interface HeldOutResponse {
  readonly key: string;
  readonly index: number;
  readonly value: number;
  readonly parts: readonly ScorePart[];
  readonly tokens: number;
  readonly finish: Finish;
}

/** One model's responses to the held-out prompts, by the prompt's id; prompts without a scored response are not there. */
export type HeldOut = ReadonlyMap<string, readonly HeldOutResponse[]>;

export async function readHeldOut(reader: LedgerReader, stage: string, reward: string): Promise<HeldOut> {
  const found = new Map<string, HeldOutResponse[]>();
  for await (const { prompt, responses } of reader.scores.byPrompt(stage, reward)) {
    if (responses.length === 0) continue;
    found.set(
      prompt.id,
      responses.map(({ key, index, value, parts, responseTokens, finish }) => {
        return { key, index, value, parts, tokens: responseTokens, finish };
      }),
    );
  }
  return found;
}

/** One part of the reward (a kind of check, a judge), averaged over each model's responses that have it. */
export interface PartMeans {
  readonly name: string;
  /** Held-out prompts that have it. */
  readonly prompts: number;
  readonly means: Readonly<Record<string, number>>;
}

/** The part of most prompts first. A check that one prompt has several times (`id#2`) counts under its id. */
export function partMeans(heldOut: ReadonlyMap<string, HeldOut>): PartMeans[] {
  const parts = new Map<string, { prompts: Set<string>; sums: Map<string, { sum: number; count: number }> }>();
  for (const [label, prompts] of heldOut) {
    for (const [promptId, responses] of prompts) {
      for (const { name, value } of responses.flatMap((response) => response.parts)) {
        const id = name.replace(/#\d+$/, "");
        const part = parts.get(id) ?? { prompts: new Set(), sums: new Map() };
        parts.set(id, part);
        part.prompts.add(promptId);
        const { sum, count } = part.sums.get(label) ?? { sum: 0, count: 0 };
        part.sums.set(label, { sum: sum + value, count: count + 1 });
      }
    }
  }
  const rows = [...parts].map(([name, { prompts, sums }]) => ({
    name,
    prompts: prompts.size,
    means: Object.fromEntries([...sums].map(([label, { sum, count }]) => [label, sum / count])),
  }));
  return rows.sort((a, b) => b.prompts - a.prompts || (a.name < b.name ? -1 : 1));
}
