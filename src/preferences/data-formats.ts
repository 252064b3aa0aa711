import { DataError, type Place, type Turn } from "../schema/index.ts";
import { answerOf, type Fields, has, isFields, promptOf, sameTurn, turnsOf, waiting } from "./data-turns.ts";

/** What a text is to an objective; `completion` stands alone, with a label or without. */
export type TextRole = "source_chosen" | "target_chosen" | "rejected" | "source_rejected" | "completion";

/** A prompt with what a row says of its answers. */
export interface Example {
  readonly messages: readonly Turn[];
  readonly texts: Readonly<Partial<Record<TextRole, string>>>;
  /** Of an unpaired answer: whether it is a good one. */
  readonly label?: boolean;
  /** Why nothing can be learnt from it although its form is right. */
  readonly fault?: string;
}

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
const isPair = (row: Fields) => has(row, "chosen") && has(row, "rejected");
const fieldsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const allAnswers = (value: unknown) => fieldsOf(value).every((turn) => isFields(turn) && turn.role === "assistant");
const promptIsText = "a prompt that is a text is one turn of the user";

/** The formats, the first that matches a file's first row counts. */
export const dataFormats: readonly DataFormat[] = [
  {
    needs: ["prompt", ...pairFields],
    words: "quadruples of the interchange format: chosen is [y_ws, y_wt], rejected is [y_l] or [y_l, y_ls]",
    matches: (row) => isPair(row) && has(row, "prompt") && fieldsOf(row.chosen).length > 1 && allAnswers(row.chosen),
    examples(row, place) {
      const [yws, ywt] = answers(row, "chosen", [2], place);
      const [yl, yls] = answers(row, "rejected", [1, 2], place);
      const texts = { source_chosen: yws!, target_chosen: ywt!, rejected: yl! };
      return [
        {
          messages: promptOf(row.prompt, place),
          texts: yls === undefined ? texts : { ...texts, source_rejected: yls },
        },
      ];
    },
  },
  {
    needs: ["prompt", "messages", ...pairFields],
    words: "preferences of UltraFeedback-binarized: chosen and rejected are conversations that end with the answer",
    matches: (row) => isPair(row) && isText(row.prompt) && has(row, "messages") && Array.isArray(row.chosen),
    examples: pair,
  },
  {
    needs: ["prompt", ...pairFields],
    words: "preferences: prompt, chosen and rejected as messages",
    matches: (row) => isPair(row) && has(row, "prompt") && !isText(row.prompt),
    examples: pair,
  },
  {
    needs: ["prompt", ...pairFields],
    words: `preferences: prompt, chosen and rejected (${promptIsText})`,
    matches: (row) => isPair(row) && isText(row.prompt),
    examples: pair,
  },
  {
    needs: pairFields,
    words:
      "preferences with an implicit prompt: the messages that chosen and rejected have in common at their beginning",
    matches: (row) => isPair(row),
    examples: pair,
  },
  {
    needs: ["prompt", "completion", "label"],
    words: `unpaired preferences: prompt, completion and label (${promptIsText})`,
    matches: (row) => has(row, "prompt") && has(row, "completion") && has(row, "label"),
    examples(row, place) {
      const { label } = row;
      if (typeof label !== "boolean")
        throw new DataError(`label is ${JSON.stringify(label)}, and should be true or false`, {
          ...place,
          field: "label",
        });
      return [{ ...completion(row, place), label }];
    },
  },
  {
    needs: ["prompt", "completion"],
    words: `prompts with a completion (${promptIsText})`,
    matches: (row) => has(row, "prompt") && has(row, "completion"),
    examples: (row, place) => [completion(row, place)],
  },
  {
    needs: ["messages"],
    words: "conversations: every answer of the assistant is learnt, with what stands before it as its prompt",
    matches: (row) => has(row, "messages"),
    examples: (row, place) => conversation(turnsOf(row.messages, "messages", place), place),
  },
];

/** The answers of a list, as many as the format has. */
function answers(row: Fields, field: string, counts: readonly number[], place: Place): string[] {
  const turns = turnsOf(row[field], field, place);
  if (!counts.includes(turns.length))
    throw new DataError(`${turns.length} responses where there should be ${counts.join(" or ")}`, { ...place, field });
  return turns.map((turn, index) => answerOf([turn], `${field}.${index}`, place));
}

/** A pair in all its forms: texts or messages, the prompt by itself or at the beginning of both. */
function pair(row: Fields, place: Place): Example[] {
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

const paired = (messages: readonly Turn[], chosen: string, rejected: string): Example => ({
  messages,
  texts: { target_chosen: chosen, rejected },
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

function completion(row: Fields, place: Place): Example {
  const given = row.completion;
  const text = isText(given) ? (given as string) : answerOf(turnsOf(given, "completion", place), "completion", place);
  return { messages: promptOf(row.prompt, place), texts: { completion: text } };
}

/** Every answer of a conversation. An opening turn of the assistant answers nothing: it is context only. */
function conversation(turns: readonly Turn[], place: Place): Example[] {
  const examples = turns.flatMap((turn, index): Example[] => {
    const messages = turns.slice(0, index);
    if (turn.role !== "assistant" || messages.every(({ role }) => role === "system")) return [];
    waiting(messages, `messages.${index}`, place);
    const texts = { completion: turn.content };
    return ["tool_calls" in turn ? { messages, texts, fault: callsTools } : { messages, texts }];
  });
  if (examples.length === 0)
    throw new DataError("the conversation has no answer of the assistant", { ...place, field: "messages" });
  return examples;
}

const callsTools = "an answer calls tools: it is context only, as its text would be the chat template's";
