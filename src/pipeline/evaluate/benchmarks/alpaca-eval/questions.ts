import { z } from "zod";
import { readRows } from "../../../../data/index.ts";
import { type BenchmarkRecipeOf, contentKey, DataError, messageSchema, RecipeError } from "../../../../schema/index.ts";
import { parsedRow } from "../../../leaderboard/index.ts";

/** An instruction with what the baseline wrote. */
export interface Question {
  /** The same for all models and files. */
  readonly id: string;
  readonly instruction: string;
  readonly dataset?: string;
  readonly baseline: string;
}

export interface QuestionSet {
  readonly questions: readonly Question[];
  /** The baseline's name. */
  readonly baseline: string;
  /** All of the file, beyond the limit and without an output of the baseline, too. */
  readonly known: ReadonlySet<string>;
  /** What a reader should know of them. */
  readonly notes: readonly string[];
}

const text = z
  .string()
  .refine((value) => value.isWellFormed(), { error: "holds half a surrogate pair, which is no character" });
const instruction = text.refine((value) => value.trim() !== "", { error: "is empty" });
const name = z.string().nullish();

const officialRow = z.object({ instruction, dataset: name, output: text.nullish(), generator: name });
/** A prompt row of Amalgam's: one turn of the user. */
const promptRow = z.object({ prompt: instruction, domain: name });
const messagesRow = z.object({
  messages: z.array(messageSchema).refine((turns) => turns.length === 1 && turns[0]!.role === "user", {
    error: "are not one turn of the user, which AlpacaEval's judge is shown",
  }),
  domain: name,
});
const outputRow = z.object({ instruction, output: text, generator: name });

interface Row {
  readonly instruction: string;
  readonly dataset?: string | null | undefined;
  readonly output?: string | null | undefined;
  readonly generator?: string | null | undefined;
}

/** Rows by their instructions, in the order of the file. */
interface Rows {
  readonly rows: ReadonlyMap<string, Row>;
  /** How many said the same as one before. */
  readonly repeated: number;
}

/** Throws a DataError where an instruction stands twice, with two outputs: alpaca-eval would compare each with each. */
async function rowsOf(
  file: string,
  parse: (value: unknown, place: { file: string; line: number }) => Row,
): Promise<Rows> {
  const rows = new Map<string, Row>();
  let repeated = 0;
  for await (const { file: from, line, value } of readRows(file)) {
    const row = parse(value, { file: from, line });
    const known = rows.get(row.instruction);
    if (known !== undefined && known.output !== row.output)
      throw new DataError("this instruction stands above already, with another output", {
        file: from,
        line,
        field: "instruction",
        hint: "Leave one output to each instruction.",
      });
    if (known === undefined) rows.set(row.instruction, row);
    else repeated += 1;
  }
  if (rows.size === 0) throw new DataError("there are no rows in it", { file });
  return { rows, repeated };
}

function questionRow(value: unknown, place: { file: string; line: number }): Row {
  const has = (field: string) => typeof value === "object" && value !== null && field in value;
  if (has("instruction") || !(has("prompt") || has("messages"))) return parsedRow(officialRow, value, place);
  if (has("prompt")) {
    const { prompt, domain } = parsedRow(promptRow, value, place);
    return { instruction: prompt, dataset: domain };
  }
  const { messages, domain } = parsedRow(messagesRow, value, place);
  return { instruction: messages[0]!.content, dataset: domain };
}

/**
 * The questions of a benchmark with the baseline's outputs, which are in the same file or in one of their own. A question without one is
 * left out and told, as alpaca-eval does.
 *
 * @throws DataError for files that can't be read as such; RecipeError where no question has an output of the baseline
 */
export async function readQuestionSet(
  recipe: Pick<BenchmarkRecipeOf<"alpaca_eval">, "questions" | "baseline" | "limit">,
): Promise<QuestionSet> {
  const given = await rowsOf(recipe.questions, questionRow);
  const asked = [...given.rows.values()].slice(0, recipe.limit);
  const own = recipe.baseline === undefined ? undefined : await readOutputs(recipe.baseline);
  const from = own?.rows ?? given.rows;
  const questions = asked.flatMap((row): Question[] => {
    const output = from.get(row.instruction)?.output ?? undefined;
    if (output === undefined) return [];
    return [
      {
        id: contentKey({ instruction: row.instruction }).slice(0, 16),
        instruction: row.instruction,
        ...(row.dataset == null ? {} : { dataset: row.dataset }),
        baseline: output,
      },
    ];
  });
  if (questions.length === 0)
    throw new RecipeError("no question has an output of the baseline", {
      file: recipe.baseline ?? recipe.questions,
      hint: "Name the baseline's model_outputs.json in `baseline`, or give the questions an `output`.",
    });
  const generators = new Set(questions.map((question) => from.get(question.instruction)?.generator ?? "baseline"));
  if (generators.size > 1)
    throw new DataError(`the baseline's outputs are of several: ${[...generators].join(", ")}`, {
      file: recipe.baseline ?? recipe.questions,
      field: "generator",
      hint: "Compare with one at a time.",
    });
  const without = asked.length - questions.length;
  return {
    questions,
    baseline: [...generators][0]!,
    known: new Set(given.rows.keys()),
    notes: [
      ...repeatedNote(given, "questions"),
      ...(own === undefined ? [] : repeatedNote(own, "the baseline's outputs")),
      ...(without > 0
        ? [`${without} of ${asked.length} questions have no output of the baseline and are left out`]
        : []),
    ],
  };
}

const repeatedNote = ({ repeated }: Rows, what: string): string[] =>
  repeated > 0 ? [`${repeated} rows of ${what} stand twice and count once`] : [];

/** Throws DataError. */
const readOutputs = (file: string): Promise<Rows> => rowsOf(file, (value, place) => parsedRow(outputRow, value, place));

/**
 * A model's output to each question, out of its `model_outputs.json`: found by the instruction, so that their order plays no part; undefined
 * where it has none.
 *
 * @throws DataError for a file that can't be read as such, and where none is for one of the questions
 */
export async function outputsOf(
  file: string,
  { questions, known }: QuestionSet,
): Promise<{ readonly outputs: readonly (string | undefined)[]; readonly notes: readonly string[] }> {
  const found = await readOutputs(file);
  const outputs = questions.map((question) => found.rows.get(question.instruction)?.output ?? undefined);
  const missing = questions.filter((_, at) => outputs[at] === undefined);
  const unasked = [...found.rows.keys()].filter((each) => !known.has(each));
  const loosely = (one: string) => one.replaceAll("\r\n", "\n").trim();
  const near = new Set(unasked.map(loosely));
  const alike = missing.filter((question) => near.has(loosely(question.instruction))).length;
  const alikeWords = alike === 0 ? "" : `; ${alike} of them differ only in line ends or blanks at the ends`;
  if (missing.length === questions.length)
    throw new DataError(`none of its outputs is for one of the questions${alikeWords}`, {
      file,
      hint: "An output belongs to the question whose instruction it repeats sign by sign.",
    });
  return {
    outputs,
    notes: [
      ...repeatedNote(found, "its outputs"),
      ...(missing.length > 0 ? [`${missing.length} of ${questions.length} questions have no output${alikeWords}`] : []),
      ...(unasked.length > 0 ? [`${unasked.length} outputs are for none of the questions and count nowhere`] : []),
    ],
  };
}
