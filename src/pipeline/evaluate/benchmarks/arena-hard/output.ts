import { join } from "node:path";
import { type ArenaVersion, markdownCounts } from "../../../../evaluation/index.ts";
import { contentKey } from "../../../../schema/index.ts";
import { fileName, writeRows } from "../judged/rows.ts";
import type { Answered, StyleOf } from "./answering.ts";
import type { Match } from "./games.ts";
import type { ArenaAnswer, ArenaQuestion } from "./questions.ts";

export interface ArenaOutput {
  readonly version: ArenaVersion;
  readonly judge: string;
  readonly questions: readonly ArenaQuestion[];
  readonly baselines: ReadonlyMap<string, ArenaAnswer>;
  readonly models: readonly Answered[];
  readonly matches: readonly Match[];
  readonly styleOf: StyleOf;
}

/** Writes all answers and judgements into `folder`, in the folders and forms of arena-hard-auto of the version. */
export function writeArena(folder: string, output: ArenaOutput): void {
  const { version, judge, questions, models, baselines, matches, styleOf } = output;
  const answers = new Map<string, Map<string, ArenaAnswer>>();
  const put = (model: string, answer: ArenaAnswer) =>
    answers.set(model, (answers.get(model) ?? new Map<string, ArenaAnswer>()).set(answer.id, answer));
  for (const answer of baselines.values()) put(answer.model, answer);
  for (const { name, answers } of models) for (const answer of answers.values()) put(name, answer);
  const prompts = new Map(questions.map(({ id, prompt }) => [id, prompt]));
  const rowOf = version === "v0.1" ? earlierAnswerRow : answerRow;
  for (const [model, byId] of answers)
    writeRows(
      join(folder, "model_answer", `${fileName(model)}.jsonl`),
      [...byId.values()].map((answer) => rowOf({ ...answer, model }, prompts.get(answer.id)!, styleOf)),
    );
  const judgementRow = version === "v0.1" ? earlierJudgementRow : judgementRowOf;
  for (const [model, { name }] of models.entries()) {
    const own = matches.filter((match) => match.model === model);
    if (own.length === 0) continue;
    writeRows(
      join(folder, "model_judgment", fileName(judge), `${fileName(name)}.jsonl`),
      own.map((match) => judgementRow(match, name, judge)),
    );
  }
}

function metadataOf(answer: ArenaAnswer, styleOf: StyleOf) {
  const [token_len] = styleOf(answer);
  return { token_len, ...markdownCounts(answer.text) };
}

const answerId = ({ id, model, text }: ArenaAnswer) => contentKey([id, model, text]).slice(0, 22);

const earlierAnswerRow = (answer: ArenaAnswer, _prompt: string, styleOf: StyleOf) => ({
  question_id: answer.id,
  answer_id: answerId(answer),
  model_id: answer.model,
  choices: [{ index: 0, turns: [{ content: answer.text, token_len: styleOf(answer)[0] }] }],
  conv_metadata: metadataOf(answer, styleOf),
});

const answerRow = (answer: ArenaAnswer, prompt: string, styleOf: StyleOf) => ({
  uid: answer.id,
  ans_id: answerId(answer),
  model: answer.model,
  messages: [
    { role: "user", content: prompt },
    { role: "assistant", content: { answer: answer.text } },
  ],
  metadata: metadataOf(answer, styleOf),
});

const earlierJudgementRow = ({ question, games }: Match, model: string, judge: string) => ({
  question_id: question.id,
  model,
  judge,
  games: games.map(({ messages, judgement }) => ({
    user_prompt: messages.at(-1)!.content,
    judgment: judgement.words,
    score: judgement.verdict,
  })),
});

const judgementRowOf = ({ question, games, baseline }: Match, model: string, judge: string) => ({
  uid: question.id,
  category: question.category,
  judge,
  model,
  baseline: baseline.model,
  games: games.map(({ messages, judgement }) => ({
    score: judgement.verdict,
    judgment: { answer: judgement.words },
    prompt: messages,
  })),
});
