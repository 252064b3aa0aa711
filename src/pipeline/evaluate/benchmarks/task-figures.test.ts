import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tasks } from "../../../evaluation/index.ts";
import { readModelFiles } from "../../../models/index.ts";
import { tinyFolder } from "../../../models/testing/tiny-model.ts";
import type { BenchmarkRecipeOf } from "../../../schema/index.ts";
import { type Ledger, openLedger } from "../../../store/index.ts";
import { silent } from "../../events.ts";
import { lazyModel } from "../../lazy-source.ts";
import type { Contestant, Evaluation } from "../evaluation.ts";
import { lmEvalResults } from "../tasks/lm-eval-results.ts";
import { type TaskRun, type TaskSample, taskRuns } from "../tasks/runs.ts";
import { isOfficial, measureTask } from "./task.ts";

const scratch = mkdtempSync(join(process.env.AMALGAM_TEST_SCRATCH ?? tmpdir(), "task-figures-"));
const model = { model: "tiny", precision: "fp32", device: "cpu" } as const;
let ledger: Ledger;
let contestant: Contestant;

beforeAll(async () => {
  ledger = await openLedger(mkdtempSync(join(scratch, "ledger-")));
  const files = await readModelFiles(tinyFolder("llama"), "tiny");
  const source = lazyModel("tiny", files, { ...model, thinking: "apart" });
  const embedded = { files, recipe: model as never };
  contestant = { name: "tiny", answering: { name: "tiny", source, embedded }, outputs: {} };
});
afterAll(() => ledger.close());

const evaluation = (): Evaluation => ({
  ...{ folder: scratch, seed: 1, bootstrap: 100, ledger, listener: silent, account: undefined },
  signal: new AbortController().signal,
});
const recipe = (task: string, data: string): BenchmarkRecipeOf<"task"> => ({
  ...{ kind: "task", task, data, micro_batch_tokens: 512, shots: 0 },
});

test("a whole test set is official, but not where a task deviates from the official code: that is said", async () => {
  const whole = (name: string): TaskRun => {
    const task = tasks.get(name)!;
    const samples = Array.from({ length: task.whole! }, () => ({}) as TaskSample);
    return {
      ...{ benchmark: name, model: "m", task, shots: task.shots, sizes: new Map([[undefined, task.whole!]]), samples },
      ...{ figures: [], failures: [], truncated: { documents: 0, most: 0 }, asChat: false },
    };
  };
  expect(["mmlu", "gsm8k", "ifeval"].map((name) => isOfficial(whole(name)))).toEqual([true, true, false]);
  const unasked = { name: "recorded", outputs: {} };
  const asked = recipe("ifeval", join(scratch, "ifeval.jsonl"));
  const instruction = { instruction_id_list: ["punctuation:no_comma"], kwargs: [{}] };
  writeFileSync(asked.data, JSON.stringify({ key: 1, prompt: "p", ...instruction }));
  const { models } = await measureTask(evaluation(), asked, [unasked], undefined);
  expect(models[0]!.notes.join()).toMatch(/langdetect and NLTK/);
});

test("MMLU's areas: the means of their subjects by size, with the pooled errors, as lm-eval's groups", async () => {
  const folder = mkdtempSync(join(scratch, "areas-"));
  const sizes = { anatomy: 4, virology: 3, astronomy: 7, own_subject: 2, sociology: 5 };
  const row = (subject: string, at: number) =>
    `${JSON.stringify({ question: `${subject} ${at}?`, subject, choices: ["a", "b", "c", "d"], answer: at % 4 })}\n`;
  const rows = Object.entries(sizes).flatMap(([subject, size]) =>
    Array.from({ length: size }, (_, at) => row(subject, at)),
  );
  writeFileSync(join(folder, "test.jsonl"), rows.join(""));
  const asked = recipe("mmlu", folder);
  const [measured] = (await measureTask(evaluation(), asked, [contestant], undefined)).models;
  const { categories, areas } = measured!;
  expect(areas!.map(({ name, categories }) => [name, categories])).toEqual([
    ["stem", ["anatomy", "astronomy"]],
    ["other", ["virology"]],
    ["social sciences", ["sociology"]],
  ]);
  const [one, two] = [categories.anatomy!, categories.astronomy!];
  expect(areas![0]!.figure.value).toBeCloseTo((4 * one.value + 7 * two.value) / 11, 10);
  const variance = (3 * 4 * one.standardError! ** 2 + 6 * 7 * two.standardError! ** 2) / 9 / 11;
  expect(areas![0]!.figure.standardError).toBeCloseTo(Math.sqrt(variance), 10);
  expect(areas![1]!.figure).toEqual(categories.virology);

  const { results } = lmEvalResults("tiny", await taskRuns(evaluation(), asked, [contestant]));
  const of = results as Record<string, Record<string, Record<string, unknown>>>;
  expect(of.group_subtasks).toEqual({
    mmlu: ["mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_own_subject"],
    mmlu_stem: ["mmlu_anatomy", "mmlu_astronomy"],
    mmlu_other: ["mmlu_virology"],
    mmlu_social_sciences: ["mmlu_sociology"],
  });
  expect(Object.keys(of.groups!)).toEqual(["mmlu", "mmlu_stem", "mmlu_other", "mmlu_social_sciences"]);
  expect(of.results!.mmlu_social_sciences).toMatchObject({ alias: " - social sciences" });
  expect(100 * Number(of.results!.mmlu_stem!["acc,none"])).toBeCloseTo(areas![0]!.figure.value, 10);
});
