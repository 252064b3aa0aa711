import { z } from "zod";
import { contentKey, DataError, type Message } from "../../../../schema/index.ts";
import { readRowsOf, rowsById } from "../judged/rows.ts";
import { checkTemplate, filled } from "../judged/template.ts";
import { ownPrompts } from "./own-prompts.ts";
import type { MtQuestion, TurnAnswers } from "./questions.ts";

export interface MtPrompt {
  readonly system: string;
  readonly template: string;
}

/** FastChat's names of its prompts: with a reference, and of the second turn. */
const names = {
  single: ["single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn"],
  pairwise: ["pair-v2", "pair-math-v1", "pair-v2-multi-turn", "pair-math-v1-multi-turn"],
} as const;
export type MtMode = keyof typeof names;
export type PromptName = (typeof names)[MtMode][number];
export type MtPrompts = ReadonlyMap<PromptName, MtPrompt>;

const rowSchema = z.object({
  name: z.string().min(1),
  system_prompt: z.string(),
  prompt_template: z.string().min(1),
});

/** The prompt that a turn is judged by. */
export const promptName = (mode: MtMode, withReference: boolean, turn: number): PromptName =>
  names[mode][(withReference ? 1 : 0) + 2 * turn]!;

/** Places of a prompt: how FastChat calls them. */
export function placesOf(mode: MtMode, withReference: boolean, turn: number): string[] {
  const answers = mode === "single" ? ["answer"] : ["answer_a", "answer_b"];
  const numbered = (name: string) => (turn === 0 ? [name] : [`${name}_1`, `${name}_2`]);
  const references = withReference ? ["ref_answer_1", ...(turn === 0 ? [] : ["ref_answer_2"])] : [];
  return [...numbered("question"), ...answers.flatMap(numbered), ...references];
}

const kinds = [
  [false, 0],
  [true, 0],
  [false, 1],
  [true, 1],
] as const;

/**
 * The prompts of FastChat's `judge_prompts.jsonl`; Amalgam's own without a file. Throws DataError where one is missing, stands twice or has
 * no place for what it is to show.
 */
export async function mtPrompts(mode: MtMode, file: string | undefined): Promise<MtPrompts> {
  if (file === undefined)
    return new Map(
      kinds.map(([reference, turn]) => [promptName(mode, reference, turn), ownPrompts(mode, reference, turn)]),
    );
  const rows = rowsById(
    file,
    await readRowsOf(file, "a prompt of MT-Bench's judge", () => rowSchema),
    ({ name }) => name,
  );
  return new Map(
    kinds.map(([reference, turn]): [PromptName, MtPrompt] => {
      const name = promptName(mode, reference, turn);
      const row = rows.get(name);
      if (row === undefined)
        throw new DataError(`there is no prompt ${name}`, { file, hint: `It has ${[...rows.keys()].join(", ")}.` });
      checkTemplate(row.prompt_template, placesOf(mode, reference, turn), { file, field: name });
      return [name, { system: row.system_prompt, template: row.prompt_template }];
    }),
  );
}

export const mtPromptKey = ({ system, template }: MtPrompt): string => contentKey({ system, template });

/** What the judge is shown of one turn: one model's answers, or two models'. */
export function mtMessages(
  { system, template }: MtPrompt,
  { turns, references = [] }: MtQuestion,
  shown: readonly [TurnAnswers] | readonly [TurnAnswers, TurnAnswers],
  turn: number,
): Message[] {
  const values: Record<string, string> = {};
  const put = (name: string, texts: readonly string[]) => {
    values[name] = texts[0] ?? "";
    for (const [at, text] of texts.slice(0, turn + 1).entries()) values[`${name}_${at + 1}`] = text;
  };
  put("question", turns);
  put("ref_answer", references);
  for (const [at, answers] of shown.entries()) put(shown.length === 1 ? "answer" : `answer_${"ab"[at]}`, answers);
  const user: Message = { role: "user", content: filled(template, values) };
  return system === "" ? [user] : [{ role: "system", content: system }, user];
}

/** Patterns of the verdicts, for who is held to them. */
export const mtVerdicts: Readonly<Record<MtMode, string>> = {
  single: "\\[\\[([1-9]|10)\\]\\]",
  pairwise: "\\[\\[[ABC]\\]\\]",
};

/** The most tokens that FastChat lets its judge write. */
export const mtJudgeTokens = 2048;
