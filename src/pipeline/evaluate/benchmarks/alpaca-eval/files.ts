import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../../../schema/index.ts";
import { type LeaderboardRow, leaderboardCsv } from "../../../leaderboard/index.ts";
import type { Verdict } from "./judging.ts";
import type { Question } from "./questions.ts";

/** A model's output to a question, with the judge's verdict on it. */
export interface JudgedOutput {
  readonly question: Question;
  readonly output: string;
  readonly verdict: Verdict;
}

/** Who wrote and who judged, as the files name them. */
export interface Names {
  readonly model: string;
  readonly baseline: string;
  readonly annotator: string;
}

/** Writes `model_outputs.json` and `annotations.json` into a folder, in the forms of alpaca-eval 0.6.6. */
export function writeModelFiles(folder: string, names: Names, outputs: readonly JudgedOutput[]): void {
  mkdirSync(folder, { recursive: true });
  write(
    join(folder, "model_outputs.json"),
    outputs.map(({ question: { instruction, dataset }, output }) => ({
      ...(dataset === undefined ? {} : { dataset }),
      instruction,
      output,
      generator: names.model,
    })),
  );
  write(
    join(folder, "annotations.json"),
    outputs.map(({ question: { instruction, dataset, baseline }, output, verdict }) => ({
      instruction,
      output_1: baseline,
      generator_1: names.baseline,
      ...(dataset === undefined ? {} : { dataset }),
      output_2: output,
      generator_2: names.model,
      annotator: names.annotator,
      preference: "failure" in verdict ? null : verdict.preference,
      preference_raw_completion: completionOf(verdict),
    })),
  );
}

/** What was said, in the form in which alpaca-eval keeps a completion of one token. */
function completionOf(verdict: Verdict): object | null {
  if ("failure" in verdict || verdict.judgement === undefined) return null;
  const { said, tokens } = verdict.judgement;
  const logprob = tokens.find(({ token }) => token === said)?.logprob ?? null;
  return { text: said, logprobs: { content: [{ token: said, logprob, top_logprobs: tokens }] } };
}

/** Writes the `leaderboard.csv` of all models, the best first. */
export function writeLeaderboard(folder: string, rows: readonly LeaderboardRow[]): void {
  mkdirSync(folder, { recursive: true });
  replaceFile(join(folder, "leaderboard.csv"), leaderboardCsv(rows));
}

const write = (file: string, rows: readonly object[]): void => replaceFile(file, `${JSON.stringify(rows, null, 2)}\n`);
