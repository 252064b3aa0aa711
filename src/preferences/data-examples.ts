import { DataError, type Place, type Turn } from "../schema/index.ts";
import { answerOf, type Fields, has, noneWaits, promptOf, sameTurn, turnsOf, waiting } from "./data-turns.ts";

/** What a text is to an objective; `completion` stands alone, with a label or without. */
export type TextRole = "source_chosen" | "target_chosen" | "rejected" | "source_rejected" | "completion";

/** An answer with the reward that a file gives it. */
export interface RankedText {
  readonly text: string;
  /** NaN where the file has none, or no number. */
  readonly reward: number;
  /** The model that wrote it, where the file says so. */
  readonly source?: string;
}

/** A prompt with what a row says of its answers. */
export interface Example {
  readonly messages: readonly Turn[];
  /** The texts of each role: one, but of sources as many as answered. */
  readonly texts: Readonly<Partial<Record<TextRole, readonly string[]>>>;
  /** All answers that the row tells of with their rewards, where it does, in its own order. */
  readonly ranked?: readonly RankedText[];
  /** Of an unpaired answer: whether it is a good one. */
  readonly label?: boolean;
  /** Why nothing can be learnt from it although its form is right. */
  readonly fault?: string;
}

const isText = (value: unknown) => typeof value === "string";

/** A quadruple of the interchange format: the last of `chosen` is the target's, all before it are of sources, the best first. */
export function quadruple(row: Fields, place: Place): Example[] {
  const chosen = answers(row, "chosen", place);
  const rejected = answers(row, "rejected", place);
  if (chosen.length < 2 || rejected.length > 2)
    throw new DataError(
      chosen.length < 2
        ? "one response where there should be two or more"
        : `${rejected.length} responses where there should be 1 or 2`,
      { ...place, field: chosen.length < 2 ? "chosen" : "rejected" },
    );
  const [yl, ...yls] = rejected;
  const texts = { source_chosen: chosen.slice(0, -1), target_chosen: chosen.slice(-1), rejected: [yl!] };
  return [
    {
      messages: promptOf(row.prompt, place),
      texts: yls.length === 0 ? texts : { ...texts, source_rejected: yls },
    },
  ];
}

/** The answers of a list. */
function answers(row: Fields, field: string, place: Place): string[] {
  const turns = turnsOf(row[field], field, place);
  return turns.map((turn, index) => answerOf([turn], `${field}.${index}`, place));
}

/** A pair in all its forms: texts or messages, the prompt by itself or at the beginning of both. */
export function pair(row: Fields, place: Place): Example[] {
  const sides = ["chosen", "rejected"] as const;
  if (sides.some((side) => isText(row[side]))) {
    const odd = sides.find((side) => !isText(row[side]));
    if (odd !== undefined)
      throw new DataError("is no text, and the other of chosen and rejected is one", { ...place, field: odd });
    if (!has(row, "prompt"))
      throw new DataError("chosen and rejected are texts, and there is no prompt", {
        ...place,
        hint: "Where the prompt ends can't be told from texts: write it into `prompt`, or write messages.",
      });
    return [paired(promptOf(row.prompt, place), row.chosen as string, row.rejected as string)];
  }
  const [chosen, rejected] = sides.map((side) => turnsOf(row[side], side, place)) as [Turn[], Turn[]];
  const prompt = promptOfPair(row, chosen, rejected, place);
  const answer = (turns: Turn[], side: string) => answerOf(turns.slice(prefixLength(turns, prompt)), side, place);
  return [paired(prompt, answer(chosen, "chosen"), answer(rejected, "rejected"))];
}

export const paired = (messages: readonly Turn[], chosen: string, rejected: string): Example => ({
  messages,
  texts: { target_chosen: [chosen], rejected: [rejected] },
});

/** The prompt's length where the turns begin with it, else 0. */
const prefixLength = (turns: readonly Turn[], prompt: readonly Turn[]): number =>
  turns.length > prompt.length && prompt.every((turn, index) => sameTurn(turn, turns[index]!)) ? prompt.length : 0;

function promptOfPair(row: Fields, chosen: readonly Turn[], rejected: readonly Turn[], place: Place): Turn[] {
  const given = has(row, "prompt") ? row.prompt : undefined;
  if (given !== undefined && !isText(given)) return promptOf(given, place);
  if (isText(given) && chosen[0]!.role === "assistant") return promptOf(given, place);
  const most = Math.min(chosen.length, rejected.length) - 1;
  let common = 0;
  while (common < most && sameTurn(chosen[common]!, rejected[common]!)) common += 1;
  const prompt = chosen.slice(0, common);
  if (common === 0)
    throw new DataError("chosen and rejected have no message in common that could be their prompt", {
      ...place,
      hint: "Both begin with the conversation that is answered, or a field `prompt` holds it.",
    });
  if (isText(given) && !prompt.some(({ role, content }) => role === "user" && content === given))
    throw new DataError("the prompt is no turn of the user in what chosen and rejected have in common", {
      ...place,
      field: "prompt",
    });
  return waiting(prompt, "chosen", place);
}

/** An answer by itself. */
export function completion(row: Fields, place: Place): Example {
  const given = row.completion;
  const text = isText(given) ? (given as string) : answerOf(turnsOf(given, "completion", place), "completion", place);
  return { messages: promptOf(row.prompt, place), texts: { completion: [text] } };
}

/** Every answer of a conversation, in the field that holds it. An opening turn of the assistant answers nothing: it is context only. */
export function conversation(turns: readonly Turn[], field: string, place: Place): Example[] {
  const examples = turns.flatMap((turn, index): Example[] => {
    const messages = turns.slice(0, index);
    if (turn.role !== "assistant" || messages.every(({ role }) => role === "system")) return [];
    const fault = noneWaits(messages) ? followsNobody : "tool_calls" in turn ? callsTools : undefined;
    return [{ messages, texts: { completion: [turn.content] }, ...(fault === undefined ? {} : { fault }) }];
  });
  if (examples.length === 0)
    throw new DataError("the conversation has no answer of the assistant", { ...place, field });
  return examples;
}

const callsTools = "an answer calls tools: it is context only, as its text would be the chat template's";
const followsNobody =
  "an answer follows no message of the user or of a tool, but another answer or a system message: it is context only";
