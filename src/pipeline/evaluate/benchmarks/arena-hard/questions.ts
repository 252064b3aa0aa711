import { z } from "zod";
import { type ArenaVersion, markdownStyle, type Style } from "../../../../evaluation/index.ts";
import { DataError } from "../../../../schema/index.ts";
import { answersById, type FoundAnswers, readRowsOf, rowsById } from "../judged/rows.ts";

export interface ArenaQuestion {
  readonly id: string;
  readonly category: string;
  readonly prompt: string;
}

/** An answer, with its style where the file tells it. */
export interface ArenaAnswer {
  readonly id: string;
  readonly model: string;
  readonly text: string;
  readonly style?: Style;
}

const id = z.string().min(1);
const count = z.int().min(0);

/** As arena-hard-auto has them up to September 2024, */
const earlierQuestion = z
  .object({
    question_id: id,
    category: z.string().min(1),
    turns: z.array(z.object({ content: z.string().min(1) })).length(1, "Arena-Hard has questions of one turn"),
  })
  .transform(
    ({ question_id, category, turns }): ArenaQuestion => ({ id: question_id, category, prompt: turns[0]!.content }),
  );

/** and since then. */
const question = z
  .object({ uid: id, category: z.string().min(1), prompt: z.string().min(1) })
  .transform(({ uid, ...rest }): ArenaQuestion => ({ id: uid, ...rest }));

const counts = z.union([
  count,
  z.record(z.string(), count).transform((by) => Object.values(by).reduce((a, b) => a + b, 0)),
]);
const metadata = z.object({ token_len: count, header_count: counts, list_count: counts, bold_count: counts });
type Metadata = z.output<typeof metadata>;

function styleOf(found: Metadata | undefined, text: string, tokens: number | undefined): { style?: Style } {
  if (found !== undefined) return { style: [found.token_len, found.header_count, found.list_count, found.bold_count] };
  return tokens === undefined ? {} : { style: [tokens, ...markdownStyle(text)] };
}

const earlierAnswer = z
  .object({
    question_id: id,
    model_id: z.string().min(1),
    choices: z
      .array(z.object({ turns: z.array(z.object({ content: z.string(), token_len: count.optional() })).min(1) }))
      .min(1),
    conv_metadata: metadata.optional(),
  })
  .transform(({ question_id, model_id, choices, conv_metadata }): ArenaAnswer => {
    const { content, token_len } = choices[0]!.turns[0]!;
    return { id: question_id, model: model_id, text: content, ...styleOf(conv_metadata, content, token_len) };
  });

const said = z.union([z.string(), z.object({ answer: z.string() }).transform(({ answer }) => answer)]);
const answer = z
  .object({
    uid: id,
    model: z.string().min(1),
    messages: z.array(z.object({ role: z.string(), content: said })).min(1),
    metadata: metadata.optional(),
  })
  .transform(({ uid, model, messages, metadata }): ArenaAnswer => {
    const text = messages.at(-1)!.content;
    return { id: uid, model, text, ...styleOf(metadata, text, undefined) };
  });

const hasUid = (value: unknown) => typeof value === "object" && value !== null && "uid" in value;

/** The questions of a file in either of the official forms, up to `limit`. Throws DataError for rows that are none, and for an id twice. */
export async function arenaQuestions(file: string, limit?: number): Promise<ArenaQuestion[]> {
  const rows = await readRowsOf<ArenaQuestion>(file, "a question of Arena-Hard", (value) =>
    hasUid(value) ? question : earlierQuestion,
  );
  return [...rowsById(file, rows, ({ id }) => id).values()].slice(0, limit);
}

const answerRows = (file: string) =>
  readRowsOf<ArenaAnswer>(file, "an answer to a question of Arena-Hard", (value) =>
    hasUid(value) ? answer : earlierAnswer,
  );

/** The answers of a file in either of the official forms. Throws DataError for rows that are none, and where none is to a question. */
export async function arenaAnswers(
  file: string,
  questions: readonly ArenaQuestion[],
): Promise<FoundAnswers<ArenaAnswer>> {
  return answersById(file, await answerRows(file), ({ id }) => id, new Set(questions.map(({ id }) => id)));
}

/** The category of v2.0 that has a baseline of its own. */
export const creativeWriting = "creative_writing";

/**
 * The baseline's answer to each question: creative writing's from its own file where there is one. Throws DataError where one is missing or
 * stands twice.
 */
export async function baselineAnswers(
  questions: readonly ArenaQuestion[],
  { baseline, creative_baseline }: { readonly baseline: string; readonly creative_baseline?: string | undefined },
  version: ArenaVersion,
): Promise<Map<string, ArenaAnswer>> {
  const read = async (file: string) => rowsById(file, await answerRows(file), ({ id }) => id);
  const general = await read(baseline);
  const creative = creative_baseline === undefined ? general : await read(creative_baseline);
  return new Map(
    questions.map(({ id, category }) => {
      const [file, answers] =
        category === creativeWriting ? [creative_baseline ?? baseline, creative] : [baseline, general];
      const found = answers.get(id);
      if (found === undefined)
        throw new DataError(`the baseline has no answer to question ${id} (${category})`, {
          file,
          hint:
            version === "v2.0" && category === creativeWriting && creative_baseline === undefined
              ? "v2.0 compares creative writing with another baseline: name its answers by `creative_baseline`."
              : "Every question needs one: look whether questions and answers are of the same version.",
        });
      return [id, found];
    }),
  );
}
