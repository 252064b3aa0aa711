import { z } from "zod";
import { needsReference } from "../../../../evaluation/index.ts";
import { DataError } from "../../../../schema/index.ts";
import { answersById, type FoundAnswers, readRowsOf, rowsById } from "../judged/rows.ts";

/** MT-Bench's ids are numbers; others may be words. */
const id = z.union([z.int(), z.string().min(1)]);
const twoTurns = "MT-Bench has questions of one or two turns";

const questionSchema = z.object({
  question_id: id,
  category: z.string().min(1),
  turns: z.array(z.string().min(1)).min(1, twoTurns).max(2, twoTurns),
  reference: z.array(z.string()).optional(),
});

export interface MtQuestion {
  /** The id as the file has it, for rows that are written. */
  readonly written: string | number;
  readonly id: string;
  readonly category: string;
  readonly turns: readonly string[];
  /** A right answer to each turn, where the category is judged by one. */
  readonly references?: readonly string[];
}

const answerSchema = z.object({
  question_id: id,
  choices: z.array(z.object({ turns: z.array(z.string()).min(1) })).min(1),
});
type AnswerRow = z.infer<typeof answerSchema>;

/** The answers to a question, one for each turn. */
export type TurnAnswers = readonly string[];

const idOf = ({ question_id }: { readonly question_id: string | number }): string => String(question_id);
const answerRows = (file: string, what: string) => readRowsOf<AnswerRow>(file, what, () => answerSchema);

/**
 * The questions, with references to those whose category needs one: from their own file, else from the question's row.
 *
 * @throws DataError for rows that are none, an id twice, and a reference that is missing.
 */
export async function mtQuestions(file: string, references?: string, limit?: number): Promise<MtQuestion[]> {
  const rows = await readRowsOf(file, "a question of MT-Bench", () => questionSchema);
  const known =
    references === undefined
      ? undefined
      : rowsById(references, await answerRows(references, "a reference answer of MT-Bench"), idOf);
  return [...rowsById(file, rows, idOf).values()].slice(0, limit).map((row): MtQuestion => {
    const { question_id, category, turns, reference } = row;
    const question = { written: question_id, id: idOf(row), category, turns };
    if (!needsReference(category)) return question;
    const found = known === undefined ? reference : known.get(question.id)?.choices[0]?.turns;
    if (found !== undefined && found.length >= turns.length) return { ...question, references: found };
    throw new DataError(
      `question ${question.id} (${category}) has ${found === undefined ? "no reference answer" : `${found.length} reference answers to ${turns.length} turns`}`,
      {
        file: references ?? file,
        hint: "Answers to math, reasoning and coding are judged beside a right one: name MT-Bench's reference_answer/gpt-4.jsonl by `references`.",
      },
    );
  });
}

/** The answers of a file. Throws DataError for rows that are none, and where none is to a question. */
export async function mtAnswers(file: string, questions: readonly MtQuestion[]): Promise<FoundAnswers<TurnAnswers>> {
  const rows = await answerRows(file, "an answer to a question of MT-Bench");
  const { answers, notes } = answersById(file, rows, idOf, new Set(questions.map(({ id }) => id)));
  return { notes, answers: new Map([...answers].map(([id, { choices }]) => [id, choices[0]!.turns])) };
}
