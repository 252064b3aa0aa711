import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defineTask, readTaskData, tasks, type WrittenTask } from "../../../evaluation/index.ts";
import { type ModelFiles, readModelFiles } from "../../../models/index.ts";
import { tinyFolder } from "../../../models/testing/tiny-model.ts";
import { type BenchmarkRecipeOf, DataError, RecipeError } from "../../../schema/index.ts";
import { type Ledger, openLedger } from "../../../store/index.ts";
import { type Progress, silent } from "../../events.ts";
import { lazyModel } from "../../lazy-source.ts";
import { Interrupted } from "../../run.ts";
import type { Contestant, Evaluation } from "../evaluation.ts";
import { lmEvalResults } from "../tasks/lm-eval-results.ts";
import { taskRuns } from "../tasks/runs.ts";
import { measureTask } from "./task.ts";

const shipped = fileURLToPath(new URL("../../../../suites/data/tasks", import.meta.url));
const scratch = mkdtempSync(join(process.env.AMALGAM_TEST_SCRATCH ?? tmpdir(), "tasks-"));
const model = { model: "tiny", precision: "fp32", device: "cpu" } as const;

/** Sums, of which a tiny model writes a few tokens. */
const writing = join(scratch, "sums.yaml");
writeFileSync(
  writing,
  `task: sums
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {max_gen_toks: 6}
`,
);

let ledger: Ledger;
let files: ModelFiles;
/** How often weights were read. */
let loads = 0;
let contestant: Contestant;

beforeAll(async () => {
  ledger = await openLedger(mkdtempSync(join(scratch, "ledger-")));
  const read = await readModelFiles(tinyFolder("llama"), "tiny");
  files = {
    ...read,
    weights: (dtype) => {
      loads += 1;
      return read.weights(dtype);
    },
  };
  contestant = {
    name: "tiny",
    answering: {
      name: "tiny",
      source: lazyModel("tiny", files, { ...model, thinking: "apart" }),
      embedded: { files, recipe: model as never },
    },
    outputs: {},
  };
});
afterAll(() => ledger.close());

const evaluation = (signal = new AbortController().signal, listener = silent): Evaluation => ({
  ...{ folder: scratch, seed: 1, bootstrap: 100, ledger, listener, signal, account: undefined },
});
const recipe = (task: string, more: Partial<BenchmarkRecipeOf<"task">> = {}): BenchmarkRecipeOf<"task"> => ({
  ...{ kind: "task", task, data: join(shipped, task), micro_batch_tokens: 512, shots: 1 },
  ...more,
});
const measure = (task: string, more: Partial<BenchmarkRecipeOf<"task">> = {}, of = evaluation()) =>
  measureTask(of, recipe(task, more), [contestant], undefined);

describe("the shipped documents", () => {
  test.each([
    ["arc_challenge", ["acc_norm", "acc"]],
    ["hellaswag", ["acc_norm", "acc"]],
    ["winogrande", ["acc"]],
    ["mmlu", ["acc"]],
    ["truthfulqa_mc2", ["acc"]],
  ] as const)("%s: figures of 12 documents, which are computed once", async (name, columns) => {
    const shots = name === "truthfulqa_mc2" ? 0 : 1;
    loads = 0;
    const result = await measure(name, { shots });
    expect(loads).toBe(1);
    const [measured] = result.models;
    expect(result).toMatchObject({ benchmark: name, judge: null, official: false });
    expect(result.columns.map(({ key }) => key)).toEqual(columns);
    expect(measured!.items).toHaveLength(12);
    expect(measured!.failed).toBe(0);
    // The main figure is the mean of the items, and its error that of a mean of them.
    const values = measured!.items.map(({ value }) => value);
    const mean = values.reduce((a, b) => a + b, 0) / 12;
    const main = measured!.figures[columns[0]]!;
    expect(main.value).toBeCloseTo(mean, 10);
    if (name !== "mmlu") {
      const spread = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      expect(main.standardError).toBeCloseTo(Math.sqrt(spread / 11 / 12), 10);
    } else expect(Object.keys(measured!.categories)).toEqual(["world_geography", "everyday_biology"]);
    loads = 0;
    expect(await measure(name, { shots })).toEqual(result);
    expect(loads).toBe(0);
  });

  test("what a model writes is kept, and compared", async () => {
    const asked = { data: join(shipped, "gsm8k"), shots: 0, limit: 3 };
    const sums = await measure(writing, asked);
    expect(sums.columns.map(({ title }) => title)).toEqual(["exact match"]);
    expect(sums.models[0]).toMatchObject({ failed: 0, length: expect.any(Number) });
    expect(sums.models[0]!.items.map(({ answer }) => typeof answer)).toEqual(["string", "string", "string"]);
    expect(sums.models[0]!.notes).toContain("3 of 12 questions");
    loads = 0;
    expect(await measure(writing, asked)).toEqual(sums);
    expect(loads).toBe(0);
  });

  test("ifeval: what was written is checked by prompt and by instruction", async () => {
    const { documents } = await readTaskData(tasks.get("ifeval")!, join(shipped, "ifeval"), { shots: 0 });
    const task = tasks.get("ifeval")! as WrittenTask<unknown>;
    const scores = documents.map(({ document }) => task.score(document, "**No** commas here"));
    expect(scores[0]).toEqual({
      "prompt_level_strict_acc,none": 1,
      "inst_level_strict_acc,none": [true],
      "prompt_level_loose_acc,none": 1,
      "inst_level_loose_acc,none": [true],
    });
    expect(scores[9]!["inst_level_strict_acc,none"]).toEqual([true, true]);
    expect(scores[11]!["prompt_level_strict_acc,none"]).toBe(0);
  });
});

test("a context without room loses its beginning, and that is said", async () => {
  const { maxPositions } = files.decoderConfig;
  const result = await measure("arc_challenge", { shots: 8, limit: 2 });
  expect(result.models[0]!.notes.join()).toMatch(/2 contexts lost up to \d+ tokens/);
  const cut = Number(/up to (\d+)/.exec(result.models[0]!.notes.join())![1]);
  expect(cut).toBeGreaterThan(0);
  expect(maxPositions).toBeGreaterThan(0);
});

test("an evaluation that is stopped goes on where it was", async () => {
  const stop = new AbortController();
  const asked = { shots: 2, micro_batch_tokens: 64 };
  await measure("hellaswag", { ...asked, limit: 5 });
  const stopping = { ...silent, progress: () => stop.abort() };
  await expect(measure("hellaswag", asked, evaluation(stop.signal, stopping))).rejects.toBeInstanceOf(Interrupted);
  const totals: number[] = [];
  const counting = { ...silent, progress: ({ total }: Progress) => void totals.push(total!) };
  const whole = await measure("hellaswag", asked, evaluation(undefined, counting));
  // Those of the first call are not computed again, and what the stopped one had computed neither.
  expect(totals[0]).toBeLessThanOrEqual(7);
  expect(whole.models[0]!.items).toHaveLength(12);
});

test("a document that can't be computed is a failure and no answer", async () => {
  const task = defineTask<{ text: string }>({
    kind: "choices",
    ...{ name: "own", version: 1, splits: { test: "test" }, shots: 0, sampler: "drawn" },
    row: { safeParse: (data: unknown) => ({ success: true, data }) } as never,
    metrics: [{ key: "acc,none", title: "acc", of: "mean" }],
    targetDelimiter: "",
    choices: ({ text }) => ["a", text].map((answer) => ({ before: "x", answer })),
    gold: () => 0,
    score: (_, [first, second]) => ({ "acc,none": Number(first! > second!) }),
  });
  const file = join(scratch, "own.jsonl");
  writeFileSync(file, `${JSON.stringify({ text: "b" })}\n${JSON.stringify({ text: "" })}\n`);
  const runs = await taskRuns(evaluation(), recipe("own", { data: file, shots: 0 }), [contestant], task);
  expect(runs[0]!.samples).toHaveLength(1);
  expect(runs[0]!.failures).toEqual([expect.stringMatching(/no tokens of its own/)]);
});

test("lm-eval's form: figures with errors, and a row for each document and filter", async () => {
  const runs = [
    ...(await taskRuns(evaluation(), recipe("mmlu"), [contestant])),
    ...(await taskRuns(
      evaluation(),
      recipe(writing, { name: "gsm8k", data: join(shipped, "gsm8k"), shots: 0, limit: 3 }),
      [contestant],
    )),
  ];
  const { results, samples } = lmEvalResults("tiny", runs);
  const of = results as Record<string, Record<string, Record<string, unknown>>>;
  expect(Object.keys(of.results!)).toEqual(["mmlu", "mmlu_world_geography", "mmlu_everyday_biology", "gsm8k"]);
  const subjects = ["mmlu_world_geography", "mmlu_everyday_biology"].map((name) => of.results![name]!);
  expect(of.results!.mmlu!["acc,none"]).toBeCloseTo(
    subjects.reduce((sum, subject) => sum + Number(subject["acc,none"]) / 2, 0),
    12,
  );
  expect(of.group_subtasks).toMatchObject({ gsm8k: [] });
  expect(of["n-shot"]).toEqual({ mmlu_world_geography: 1, mmlu_everyday_biology: 1, gsm8k: 0 });
  expect(of["n-samples"]!.gsm8k).toEqual({ original: 12, effective: 3 });
  expect(samples.get("gsm8k")).toHaveLength(3);
  expect(samples.get("mmlu_world_geography")![0]).toMatchObject({
    doc_id: 0,
    target: "0",
    arguments: { gen_args_3: { arg_1: " D" } },
    resps: [[[expect.stringMatching(/^-\d/), "None"]], expect.anything(), expect.anything(), expect.anything()],
    acc: expect.any(Number),
  });
});

describe("mistakes are named", () => {
  const failing = async (asked: Promise<unknown>): Promise<DataError> =>
    (await asked.then(
      () => undefined,
      (error: unknown) => error,
    )) as DataError;
  const written = (name: string, text: string) => {
    const file = join(scratch, name);
    writeFileSync(file, text);
    return file;
  };
  const row = { question: "a", choices: { text: ["x", "y"], label: ["A", "B"] }, answerKey: "B" };

  test("a task that there isn't", async () => {
    const error = await failing(measure("arc_chalenge"));
    expect(error).toBeInstanceOf(RecipeError);
    expect(error.hint).toContain("arc_challenge");
  });

  test("a file has no examples", async () => {
    const data = written("arc.jsonl", JSON.stringify(row));
    const error = await failing(measure("arc_challenge", { data, shots: 2 }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.hint).toMatch(/train\.jsonl/);
    expect((await measure("arc_challenge", { data, shots: 0 })).models[0]!.items).toHaveLength(1);
  });

  test("a folder without the split", async () => {
    const data = mkdtempSync(join(scratch, "empty-"));
    const error = await failing(measure("gsm8k", { data, shots: 0 }));
    expect(error.message).toMatch(/no data of the split test/);
    expect(error.hint).toMatch(/test/);
  });

  test.each([
    ["arc_challenge", { ...row, answerKey: "C" }, "answerKey"],
    ["arc_challenge", { ...row, choices: { text: ["x", 3], label: ["A", "B"] } }, "choices.text.1"],
    ["winogrande", { sentence: "no gap", option1: "a", option2: "b", answer: "1" }, "sentence"],
    ["mmlu", { question: "a", subject: "s", choices: ["1", "2", "3"], answer: 1 }, "choices"],
    ["truthfulqa_mc2", { question: "a", mc2_targets: { choices: ["x"], labels: [1] } }, "mc2_targets"],
    ["ifeval", { key: 1, prompt: "p", instruction_id_list: ["no:such"], kwargs: [{}] }, "instruction_id_list"],
  ])("%s: a row with a mistake", async (name, bad, field) => {
    const data = written(`bad-${name}-${field}.jsonl`, `\n${JSON.stringify(bad)}\n`);
    const error = await failing(measure(name, { data, shots: 0 }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.place).toMatchObject({ file: data, line: 2, field });
  });

  test("a row that a task of one's own fails on", async () => {
    const task = defineTask<{ text: string }>({
      kind: "choices",
      ...{ name: "own", version: 1, splits: { test: "test" }, shots: 0, sampler: "drawn" },
      row: z.object({ text: z.string() }),
      metrics: [{ key: "acc,none", title: "acc", of: "mean" }],
      choices: ({ text }) => text.match(/\w+/g)!.map((answer) => ({ before: "x", answer })),
      gold: () => 0,
      score: () => ({ "acc,none": 1 }),
    });
    const data = written("fails.jsonl", `{"text": "a"}\n\n{"text": "?"}\n`);
    const error = await failing(taskRuns(evaluation(), recipe("own", { data, shots: 0 }), [contestant], task));
    expect(error).toBeInstanceOf(DataError);
    expect(error.place).toEqual({ file: data, line: 3 });
    expect(error.message).toMatch(/own can't make a question of this row: .*null/);
  });

  test("fewer examples than are wanted", async () => {
    const error = await failing(measure("arc_challenge", { shots: 9 }));
    expect(error.message).toMatch(/wants 9 examples.*has 8/);
  });
});
