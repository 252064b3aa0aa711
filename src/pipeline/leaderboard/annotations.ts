import { z } from "zod";
import { readRows } from "../../data/index.ts";
import type { Compared } from "../../evaluation/index.ts";
import { DataError, issueWords } from "../../schema/index.ts";

/** What one judge said of one model's outputs against the baseline's, in the order of the instructions. */
export interface Annotations {
  readonly model: string;
  readonly baseline: string;
  readonly judge: string;
  readonly rows: readonly Compared[];
  readonly files: readonly string[];
}

const annotationSchema = z.object({
  instruction: z.string(),
  output_1: z.string(),
  output_2: z.string(),
  generator_1: z.string(),
  generator_2: z.string(),
  annotator: z.string(),
  preference: z
    .number()
    .refine((value) => value === 0 || (value >= 1 && value <= 2), { error: "is not from 1 to 2" })
    .nullable(),
});

/**
 * The comparisons of an `annotations.json` as alpaca-eval writes it (a list of JSON; JSONL and Parquet are read, too), by model and judge in the
 * order in which these come. Lengths are code points, as Python counts them.
 *
 * @throws DataError for a row of another form, an instruction that a model has twice, and a judge that has two baselines for a model
 */
export async function readAnnotations(files: readonly string[]): Promise<Annotations[]> {
  const groups = new Map<string, { rows: Compared[]; files: Set<string>; first: z.infer<typeof annotationSchema> }>();
  const seen = new Set<string>();
  for (const path of files) {
    for await (const { file, line, value } of readRows(path)) {
      const row = parsedRow(annotationSchema, value, { file, line });
      const key = JSON.stringify([row.generator_2, row.annotator]);
      const group = groups.get(key) ?? { rows: [], files: new Set<string>(), first: row };
      groups.set(key, group);
      if (row.generator_1 !== group.first.generator_1)
        throw new DataError(
          `${row.generator_2} is compared with ${row.generator_1} here and with ${group.first.generator_1} above`,
          {
            file,
            line,
            field: "generator_1",
            hint: "Give the comparisons of each baseline by themselves.",
          },
        );
      const instruction = JSON.stringify([key, row.instruction]);
      if (seen.has(instruction))
        throw new DataError(`${row.generator_2} was compared on this instruction above already`, {
          file,
          line,
          field: "instruction",
        });
      seen.add(instruction);
      group.files.add(file);
      group.rows.push({
        preference: row.preference,
        baselineLength: codePoints(row.output_1),
        modelLength: codePoints(row.output_2),
      });
    }
  }
  if (groups.size === 0) throw new DataError("there are no comparisons in it", { file: files[0]! });
  return [...groups.values()].map(({ rows, files: from, first }) => ({
    model: first.generator_2,
    baseline: first.generator_1,
    judge: first.annotator,
    rows,
    files: [...from],
  }));
}

/** The row. Throws a DataError at its place where it has not this form. */
export function parsedRow<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  place: { file: string; line: number },
): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const { message } = issueWords(issue, value);
  throw new DataError(message, { ...place, field: issue.path.join("."), cause: result.error });
}

/** The length of a text as Python counts it: lone surrogates count one each, as everything else does. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
