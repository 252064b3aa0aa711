import { filesOfAll, readDataFile } from "../data/index.ts";
import { DataError, type Message, messageSchema, type Place, type Turn } from "../schema/index.ts";
import { dataFormats } from "./data-formats.ts";
import { answerOf, type Fields, has, isFields, promptOf, turnsOf } from "./data-turns.ts";

/** A response with what people, or whoever labelled the file, think of it. */
export interface GradedResponse {
  /** `chosen` and `rejected` of a pair; `response` where each has a grade of its own. */
  readonly side: "chosen" | "rejected" | "response";
  readonly text: string;
  /** Higher is better; of pairs 1 and 0. */
  readonly grade: number;
}

/** A row of a file of graded responses. */
export interface GradedRow {
  readonly place: { readonly file: string; readonly line: number };
  readonly messages: readonly Message[];
  /** The part of a benchmark that it belongs to, where the file says so. */
  readonly subset: string | null;
  readonly responses: readonly GradedResponse[];
  /** All that stands in the row. */
  readonly row: Readonly<Record<string, unknown>>;
}

const form =
  "A row has a prompt (text or messages) with chosen and rejected, as texts, lists of texts or messages, and perhaps a subset; or responses with a list of scores or ratings, or UltraFeedback's completions.";

/**
 * The rows of a file, or of a split of a data set's folder, whose responses are graded: pairs as RewardBench and every preference format of `train --data` have them, lists of
 * chosen and rejected texts, `responses` with `scores` or `ratings`, and UltraFeedback's completions. A row that breaks the
 * form, or that tells no two responses apart, goes to `bad`.
 */
export async function* readGradedRows(
  path: string,
  bad: (error: DataError) => void,
  split?: string,
): AsyncGenerator<GradedRow> {
  for (const file of filesOfAll([path], { split })) yield* gradedOfFile(file, bad);
}

async function* gradedOfFile(file: string, bad: (error: DataError) => void): AsyncGenerator<GradedRow> {
  for await (const { line, value } of readDataFile(file, bad)) {
    const place = { file, line };
    try {
      if (!isFields(value)) throw new DataError("the row is no map of fields", { ...place, hint: form });
      const { messages, responses } = gradedOf(value, place);
      refuseUseless(responses, place);
      const { subset } = value;
      yield {
        place,
        messages: messages.map((turn, at) => plainMessage(turn, at, place)),
        subset: typeof subset === "string" && subset !== "" ? subset : null,
        responses,
        row: value,
      };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      bad(error);
    }
  }
}

interface Graded {
  readonly messages: readonly Turn[];
  readonly responses: readonly GradedResponse[];
}

function gradedOf(row: Fields, place: Place): Graded {
  const gradesField = ["scores", "ratings"].find((name) => has(row, name));
  if (Array.isArray(row.responses) && gradesField !== undefined) return rated(row, gradesField, place);
  if (isTexts(row.chosen) && isTexts(row.rejected)) {
    const side = (name: "chosen" | "rejected", grade: number) =>
      (row[name] as string[]).map((text): GradedResponse => ({ side: name, text, grade }));
    return { messages: promptOf(row.prompt, place), responses: [...side("chosen", 1), ...side("rejected", 0)] };
  }
  const [example] = dataFormats.find((format) => format.matches(row))?.examples(row, place) ?? [];
  if (example === undefined)
    throw new DataError("the row is of no form with graded responses", { ...place, hint: form });
  const { messages, ranked, texts } = example;
  if (ranked !== undefined && !has(row, "chosen"))
    return {
      messages,
      responses: ranked.map(({ text, reward }) => ({ side: "response", text, grade: reward })),
    };
  const [[chosen], [rejected]] = [texts.target_chosen ?? [], texts.rejected ?? []];
  if (chosen === undefined || rejected === undefined)
    throw new DataError("the row has no chosen and rejected response", { ...place, hint: form });
  return {
    messages,
    responses: [
      { side: "chosen", text: chosen, grade: 1 },
      { side: "rejected", text: rejected, grade: 0 },
    ],
  };
}

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string");

/** Responses, each with a grade at the same place of another list. */
function rated(row: Fields, gradesField: string, place: Place): Graded {
  const given = row.responses as readonly unknown[];
  const grades = row[gradesField];
  if (!Array.isArray(grades) || grades.length !== given.length)
    throw new DataError(`is no list with a grade for each of the ${given.length} responses`, {
      ...place,
      field: gradesField,
    });
  const promptField = ["prompt", "messages", "instruction"].find((name) => has(row, name));
  if (promptField === undefined) throw new DataError("the row has no prompt", { ...place, hint: form });
  return {
    messages: promptOf(row[promptField], place, promptField),
    responses: given.map((one, at): GradedResponse => {
      const field = `responses.${at}`;
      const grade = Number(grades[at] ?? Number.NaN);
      if (!Number.isFinite(grade)) throw new DataError("is no number", { ...place, field: `${gradesField}.${at}` });
      const text = typeof one === "string" ? one : answerOf(turnsOf(one, field, place), field, place);
      return { side: "response", text, grade };
    }),
  };
}

function refuseUseless(responses: readonly GradedResponse[], place: Place): void {
  const fault = responses.some(({ text }) => text.trim() === "")
    ? "a response is empty"
    : responses.some(({ text }) => !text.isWellFormed())
      ? "a response holds half a surrogate pair, which is no character"
      : responses.some(({ grade }) => !Number.isFinite(grade))
        ? "a grade is no number"
        : responses.every(({ grade }) => grade === responses[0]!.grade)
          ? "no two of its responses have different grades"
          : new Set(responses.map(({ text }) => text)).size < 2
            ? "its responses are the same"
            : undefined;
  if (fault !== undefined) throw new DataError(fault, place);
}

function plainMessage({ role, content }: Turn, at: number, place: Place): Message {
  const message = messageSchema.safeParse({ role, content });
  if (message.success) return message.data;
  throw new DataError(`a message of the role ${role}`, {
    ...place,
    field: `prompt.${at}`,
    hint: "Rewards see messages of the roles system, user and assistant.",
  });
}
