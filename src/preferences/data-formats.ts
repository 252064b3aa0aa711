import { DataError, type Place } from "../schema/index.ts";
import { completion, conversation, type Example, pair, quadruple, type RankedText } from "./data-examples.ts";
import { instructed, instructedPair } from "./data-instructions.ts";
import { scoredResponses, ultraFeedback } from "./data-ranked.ts";
import { isTranscript, transcriptPair } from "./data-transcripts.ts";
import { type Fields, has, isFields, turnsOf } from "./data-turns.ts";

export interface DataFormat {
  /** Told to the user, with how it is read. */
  readonly words: string;
  /** The fields that a row of it has. */
  readonly needs: readonly string[];
  /** Whether a row with these fields is meant to be of this format. */
  matches(row: Fields): boolean;
  /** @throws DataError with the field that breaks the format */
  examples(row: Fields, place: Place): Example[];
}

const isText = (value: unknown) => typeof value === "string";
const pairFields = ["chosen", "rejected"];
const fieldsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const allAnswers = (value: unknown) => fieldsOf(value).every((turn) => isFields(turn) && turn.role === "assistant");
const promptIsText = "a prompt that is a text is one turn of the user";

/** A format with these fields, all of them there, and what else `also` asks for. */
const withFields = (
  needs: readonly string[],
  words: string,
  examples: DataFormat["examples"],
  also: (row: Fields) => boolean = () => true,
): DataFormat => ({ needs, words, examples, matches: (row) => needs.every((name) => has(row, name)) && also(row) });

/** ShareGPT's name for a conversation, in the place of the one that is read. */
const renamed = (row: Fields, name: "prompt" | "messages"): Fields => ({ ...row, [name]: withSystem(row) });

/** The turns of `conversations`, after the `system` text that some files have beside them. */
function withSystem({ conversations, system }: Fields): unknown {
  if (typeof system !== "string" || system === "" || !Array.isArray(conversations)) return conversations;
  return [{ role: "system", content: system }, ...conversations];
}

/** The formats, the first that matches a file's first row counts. */
export const dataFormats: readonly DataFormat[] = [
  withFields(
    ["prompt", ...pairFields],
    "quadruples of the interchange format: chosen is [y_ws, y_wt], or [y_ws1, ..., y_wsk, y_wt] of several sources, rejected is [y_l] or [y_l, y_ls]",
    quadruple,
    (row) => fieldsOf(row.chosen).length > 1 && allAnswers(row.chosen),
  ),
  withFields(
    ["prompt", ...pairFields, "y_ws"],
    "preferences of an Amalgam data set: chosen is y_wt, rejected y_l, and y_ws and y_ls are responses of sources",
    (row, place) => {
      const [{ messages, texts }] = pair(row, place) as [Example];
      const [best, worst] = [ofSources(row, "y_ws", place), ofSources(row, "y_ls", place)];
      return [
        {
          messages,
          texts: {
            ...(best.length > 0 ? { source_chosen: best.map(({ text }) => text) } : {}),
            ...texts,
            ...(worst.length > 0 ? { source_rejected: worst.map(({ text }) => text) } : {}),
          },
          ranked: [...best, ...worst],
        },
      ];
    },
    (row) => Array.isArray(row.y_ws),
  ),
  withFields(
    ["prompt", "messages", ...pairFields],
    "preferences of UltraFeedback-binarized: chosen and rejected are conversations that end with the answer",
    pair,
    (row) => isText(row.prompt) && Array.isArray(row.chosen),
  ),
  withFields(
    ["prompt", ...pairFields],
    "preferences: prompt, chosen and rejected as messages",
    pair,
    (row) => !isText(row.prompt),
  ),
  withFields(["prompt", ...pairFields], `preferences: prompt, chosen and rejected (${promptIsText})`, pair, (row) =>
    isText(row.prompt),
  ),
  withFields(
    ["instruction", "completions"],
    "UltraFeedback: of the completions of several models the best by overall_score is chosen, the worst rejected",
    ultraFeedback,
  ),
  withFields(
    ["prompt", "all_generated_responses", "all_rm_scores"],
    "responses with the scores of a reward model, as SimPO's scripts write them: the best is chosen, the worst rejected",
    scoredResponses,
    (row) => !has(row, "chosen"),
  ),
  withFields(
    ["conversations", ...pairFields],
    "preferences of ShareGPT: conversations is the prompt, chosen and rejected are its answers",
    (row, place) => pair(renamed(row, "prompt"), place),
  ),
  withFields(
    ["instruction", ...pairFields],
    "preferences of Alpaca: instruction and input are the prompt, chosen and rejected its answers",
    instructedPair,
  ),
  withFields(
    pairFields,
    "preferences as transcripts, those of HH-RLHF: turns of Human and Assistant, which chosen and rejected share up to the last answer",
    transcriptPair,
    isTranscript,
  ),
  withFields(
    pairFields,
    "preferences with an implicit prompt: the messages that chosen and rejected have in common at their beginning",
    pair,
  ),
  withFields(
    ["prompt", "completion", "label"],
    `unpaired preferences: prompt, completion and label (${promptIsText})`,
    labelled,
  ),
  withFields(["prompt", "completion"], `prompts with a completion (${promptIsText})`, (row, place) => [
    completion(row, place),
  ]),
  withFields(
    ["messages"],
    "conversations: every answer of the assistant is learnt, with what stands before it as its prompt",
    (row, place) => conversation(turnsOf(row.messages, "messages", place), "messages", place),
  ),
  withFields(
    ["conversations"],
    "conversations of ShareGPT: every answer of gpt is learnt, with what stands before it as its prompt",
    (row, place) => conversation(turnsOf(withSystem(row), "conversations", place), "conversations", place),
  ),
  withFields(
    ["instruction", "output"],
    "instructions of Alpaca: instruction and, after an empty line, input are the prompt, output is its answer",
    instructed,
  ),
];

function labelled(row: Fields, place: Place): Example[] {
  const { label } = row;
  if (typeof label !== "boolean")
    throw new DataError(`label is ${JSON.stringify(label)}, and should be true or false`, { ...place, field: "label" });
  return [{ ...completion(row, place), label }];
}

/** Responses with their sources and rewards; none where the row has no such field. */
function ofSources(row: Fields, field: "y_ws" | "y_ls", place: Place): RankedText[] {
  const given = row[field] ?? [];
  if (!Array.isArray(given)) throw new DataError("is no list", { ...place, field });
  return given.map((one: unknown, at): RankedText => {
    if (!isFields(one) || typeof one.content !== "string")
      throw new DataError("has no text `content`", { ...place, field: `${field}.${at}` });
    const { content, source, reward } = one;
    return {
      text: content,
      reward: typeof reward === "number" ? reward : Number.NaN,
      ...(typeof source === "string" ? { source } : {}),
    };
  });
}
