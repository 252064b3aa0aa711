import type { Turn } from "../../schema/index.ts";
import type { Example } from "../data-examples.ts";
import type { PlacedExamples } from "../read-examples.ts";

/** An example of a row with what else the row says. */
export interface Item {
  readonly id: string;
  readonly example: Example;
  readonly row: PlacedExamples;
}

/** Hears of what a row says and its new form can't hold. */
export type Lose = (what: string) => void;

export type Side = "chosen" | "rejected";

export const answerTurn = (content: string): Turn => ({ role: "assistant", content });

/** The chosen and the rejected text; undefined where the row has not both. */
export function pairOf({ example: { texts } }: Item): Readonly<Record<Side, string>> | undefined {
  const [chosen, rejected] = [texts.target_chosen?.[0], texts.rejected?.[0]];
  return chosen === undefined || rejected === undefined ? undefined : { chosen, rejected };
}

/** Tells what a row has beside its pair: responses of sources, and those that were neither chosen nor rejected. */
export function losePair({ example: { texts, ranked = [] } }: Item, lose: Lose): void {
  if (texts.source_chosen !== undefined) lose("the responses of sources (y_ws)");
  if (texts.source_rejected !== undefined) lose("the rejected responses of sources (y_ls)");
  const named = Object.values(texts).flat();
  if (ranked.some(({ text }) => !named.includes(text))) lose("responses that are neither chosen nor rejected");
  loseSources({ ranked }, lose);
}

/** Tells that a row says who wrote its responses. */
export function loseSources({ ranked = [] }: Pick<Example, "ranked">, lose: Lose): void {
  if (ranked.some(({ source }) => source !== undefined)) lose("which model wrote a response");
}

/** The rewards of the pair: those of the row, else those of the ranked responses that the two are. */
export function scoresOf(item: Item, lose: Lose): Readonly<Partial<Record<`score_${Side}`, number>>> {
  const pair = pairOf(item);
  const score = (side: Side): Partial<Record<`score_${Side}`, number>> => {
    const given = item.row.scores[side] ?? item.example.ranked?.find(({ text }) => text === pair?.[side])?.reward;
    if (given === undefined) return {};
    if (Number.isFinite(given)) return { [`score_${side}`]: given };
    if (item.row.scores[side] !== undefined) lose("scores that are no number");
    return {};
  };
  return { ...score("chosen"), ...score("rejected") };
}

/** Tells that a row has rewards. */
export function loseScores({ row: { scores }, example: { ranked = [] } }: Item, lose: Lose): void {
  if (Object.keys(scores).length > 0 || ranked.some(({ reward }) => Number.isFinite(reward))) lose("scores");
}

/** The prompt's text, where it is one turn of the user. */
export function textPrompt({ example: { messages } }: Item): string | undefined {
  const [only, ...others] = messages;
  return others.length === 0 && only?.role === "user" ? only.content : undefined;
}
