import type { ParquetColumn } from "../../data/index.ts";
import type { RowFormName } from "../../schema/index.ts";
import {
  answerTurn,
  type Item,
  type Lose,
  losePair,
  loseScores,
  loseSources,
  pairOf,
  scoresOf,
  textPrompt,
} from "./item.ts";

/** A form in which rows can be written. */
export interface RowForm {
  /** What a row of it is, in words. */
  readonly words: string;
  readonly columns: readonly ParquetColumn[];
  /** Whether the row of a conversation is the whole of it, not a row for each of its answers. */
  readonly whole?: boolean;
  /** The rows that an example becomes, or why it can't become one. */
  rows(item: Item, lose: Lose): readonly Readonly<Record<string, unknown>>[] | string;
}

const text = (name: string, nullable = false): ParquetColumn => ({ name, type: "text", nullable });
const turns = (name: string): ParquetColumn => ({
  name,
  type: { list: { role: "text", content: "text" } },
  nullable: false,
});
const real = (name: string): ParquetColumn => ({ name, type: "real", nullable: true });
/** What every form has: who the row is, and, where it says so, of what domain and with which tools (as JSON). */
const about = [text("prompt_id"), text("domain", true), text("tools", true)];
const scores = [real("score_chosen"), real("score_rejected")];
const noPair = "it has no chosen and rejected response";
const manyTurns = "its prompt is a conversation, not one turn of the user";

const aboutRow = ({ id, row: { domain, tools } }: Item) => ({
  prompt_id: id,
  ...(domain === undefined ? {} : { domain }),
  ...(tools === undefined ? {} : { tools: JSON.stringify(tools) }),
});

const preferences: RowForm = {
  words: "TRL's conversational preferences: prompt, chosen and rejected are messages",
  columns: [...about, ...["prompt", "chosen", "rejected"].map(turns), ...scores],
  rows(item, lose) {
    const pair = pairOf(item);
    if (pair === undefined) return noPair;
    losePair(item, lose);
    const [chosen, rejected] = [[answerTurn(pair.chosen)], [answerTurn(pair.rejected)]];
    return [{ ...aboutRow(item), prompt: item.example.messages, chosen, rejected, ...scoresOf(item, lose) }];
  },
};

const texts: RowForm = {
  words: "TRL's plain preferences: prompt, chosen and rejected are texts",
  columns: [...about, ...["prompt", "chosen", "rejected"].map((name) => text(name)), ...scores],
  rows(item, lose) {
    const [pair, prompt] = [pairOf(item), textPrompt(item)];
    if (pair === undefined) return noPair;
    if (prompt === undefined) return manyTurns;
    losePair(item, lose);
    return [{ ...aboutRow(item), prompt, ...pair, ...scoresOf(item, lose) }];
  },
};

const binarized: RowForm = {
  words: "UltraFeedback-binarized: chosen and rejected are conversations with the prompt at their beginning",
  columns: [...about, text("prompt"), ...["messages", "chosen", "rejected"].map(turns), ...scores],
  rows(item, lose) {
    const pair = pairOf(item);
    if (pair === undefined) return noPair;
    losePair(item, lose);
    const { messages } = item.example;
    const last = messages.findLast(({ role }) => role === "user");
    if (last === undefined) return "its prompt has no turn of the user";
    const [chosen, rejected] = [
      [...messages, answerTurn(pair.chosen)],
      [...messages, answerTurn(pair.rejected)],
    ];
    return [{ ...aboutRow(item), prompt: last.content, messages: chosen, chosen, rejected, ...scoresOf(item, lose) }];
  },
};

const quadruples: RowForm = {
  words: "WRPO's interchange format: chosen is [y_ws, ..., y_wt], rejected [y_l] or [y_l, y_ls]",
  columns: [...about, ...["prompt", "chosen", "rejected"].map(turns)],
  rows(item, lose) {
    const { texts, messages, ranked = [] } = item.example;
    const { source_chosen: best, target_chosen: own, rejected: worst, source_rejected: worstOfSources = [] } = texts;
    if (best === undefined || own === undefined || worst === undefined)
      return "it has no response of a source beside the chosen and the rejected one";
    loseScores(item, lose);
    loseSources({ ranked }, lose);
    const [chosen, rejected] = [[...best, ...own].map(answerTurn), [...worst, ...worstOfSources].map(answerTurn)];
    return [{ ...aboutRow(item), prompt: messages, chosen, rejected }];
  },
};

const scored: RowForm = {
  words: "SimPO's scored responses: all_generated_responses with all_rm_scores, chosen and rejected beside them",
  columns: [
    ...about,
    text("prompt"),
    { name: "all_generated_responses", type: { list: "text" }, nullable: false },
    { name: "all_rm_scores", type: { list: "real" }, nullable: false },
    ...["chosen", "rejected"].map(turns),
  ],
  rows(item, lose) {
    const [prompt, pair] = [textPrompt(item), pairOf(item)];
    if (pair === undefined) return noPair;
    if (prompt === undefined) return manyTurns;
    const { texts, ranked, messages } = item.example;
    if (texts.source_chosen !== undefined || texts.source_rejected !== undefined)
      lose("which responses are of sources (y_ws, y_ls)");
    const { score_chosen, score_rejected } = scoresOf(item, lose);
    const own = [
      { text: pair.chosen, reward: score_chosen },
      { text: pair.rejected, reward: score_rejected },
    ];
    const all = ranked ?? own;
    if (!all.every(({ reward }) => reward !== undefined && Number.isFinite(reward)))
      return "not all of its responses have a score";
    loseSources({ ranked: ranked ?? [] }, lose);
    return [
      {
        ...aboutRow(item),
        prompt,
        all_generated_responses: all.map((one) => one.text),
        all_rm_scores: all.map(({ reward }) => reward),
        chosen: [...messages, answerTurn(pair.chosen)],
        rejected: [...messages, answerTurn(pair.rejected)],
      },
    ];
  },
};

/** The one answer of an example by itself: its completion, or the chosen response of a pair, whose other is lost. */
function single(item: Item, lose: Lose): string | undefined {
  const { texts, label } = item.example;
  if (label !== undefined) lose("labels");
  const found = texts.completion ?? texts.source_chosen ?? texts.target_chosen;
  if (texts.completion !== undefined) return found?.[0];
  if (found !== undefined) {
    lose("all responses but the preferred one");
    loseScores(item, lose);
    loseSources(item.example, lose);
  }
  return found?.[0];
}

const completions: RowForm = {
  words: "TRL's prompts with a completion, both messages",
  columns: [...about, ...["prompt", "completion"].map(turns)],
  rows(item, lose) {
    const answer = single(item, lose);
    if (answer === undefined) return "it has no answer";
    return [{ ...aboutRow(item), prompt: item.example.messages, completion: [answerTurn(answer)] }];
  },
};

const messages: RowForm = {
  words: "conversations: messages that end with an answer",
  columns: [...about, turns("messages")],
  whole: true,
  rows(item, lose) {
    const answer = single(item, lose);
    if (answer === undefined) return "it has no answer";
    return [{ ...aboutRow(item), messages: [...item.example.messages, answerTurn(answer)] }];
  },
};

const unpaired: RowForm = {
  words: "TRL's unpaired preferences: prompt and completion as messages, label true or false",
  columns: [...about, ...["prompt", "completion"].map(turns), { name: "label", type: "boolean", nullable: false }],
  rows(item, lose) {
    const { label, texts, messages: prompt } = item.example;
    const one = (answer: string, good: boolean) => ({
      ...aboutRow(item),
      prompt,
      completion: [answerTurn(answer)],
      label: good,
    });
    if (label !== undefined) return [one(texts.completion![0]!, label)];
    const pair = pairOf(item);
    if (pair === undefined) return "it has neither a label nor a pair";
    losePair(item, lose);
    loseScores(item, lose);
    return [one(pair.chosen, true), one(pair.rejected, false)];
  },
};

/** The forms by their names. */
export const rowForms: Readonly<Record<RowFormName, RowForm>> = {
  preferences,
  texts,
  binarized,
  quadruples,
  scored,
  completions,
  messages,
  unpaired,
};
