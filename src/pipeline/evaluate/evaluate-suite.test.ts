import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { defineTask, type Task } from "../../evaluation/index.ts";
import { tinyFolder } from "../../models/testing/tiny-model.ts";
import { packageFile } from "../../schema/index.ts";
import { openLedger } from "../../store/index.ts";
import { prompt } from "../../store/testing/rows.ts";
import { hearing } from "../testing/tiny-world.ts";
import { evaluateSuite } from "./index.ts";

const scratch = mkdtempSync(join(tmpdir(), "evaluate-suite-"));
const [talking, base] = [tinyFolder("qwen2"), tinyFolder("qwen3")];
for (const model of [talking, base]) {
  const file = join(model, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...config, max_position_embeddings: 16_384 }));
}
rmSync(join(base, "chat_template.jinja"), { force: true });
const tokenizer = join(base, "tokenizer_config.json");
const { chat_template: _, ...rest } = JSON.parse(readFileSync(tokenizer, "utf8"));
writeFileSync(tokenizer, JSON.stringify(rest));
afterAll(() => {
  for (const path of [scratch, talking, base]) rmSync(path, { recursive: true, force: true });
});

const alpaca = {
  ...{ kind: "alpaca_eval", questions: "alpaca-eval/questions.json", limit: 2 },
  sampling: { max_tokens: 8 },
};
const choices = { kind: "task", task: "arc_challenge", data: "tasks/arc_challenge", shots: 0, limit: 3 };

let suites = 0;
async function evaluate(
  suite: object,
  models: readonly string[],
  folder = join(scratch, `evaluation-${suites}`),
  tasks: readonly Task[] = [],
) {
  suites += 1;
  const file = join(scratch, `suite-${suites}.yaml`);
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ bootstrap: 100, judge: { name: "random", model: talking }, ...suite }));
  const heard = hearing();
  const outcome = await evaluateSuite({
    ...{ models, tasks, suite: file, folder, dataFolder: packageFile("suites/data"), listener: heard.listener },
    ...{ signal: new AbortController().signal, offline: true },
  });
  return { ...outcome, heard, folder };
}

test("a base model takes part in tasks, and says why it has no figures beside; the files are those of lm-eval", async () => {
  const models = [`talking=${talking}`, `base=${base}`];
  const { results, leaderboard, heard, folder } = await evaluate({ benchmarks: [alpaca, choices] }, models);
  expect(heard.notices).toContainEqual(expect.stringContaining("base has no chat template"));
  const [judged, task] = results;
  expect(judged!.models.map(({ model, figures, failed }) => [model, figures.win_rate === null, failed])).toEqual([
    ["talking", false, 0],
    ["base", true, 0],
  ]);
  expect(task!.models.map(({ model, items }) => [model, items.length])).toEqual([
    ["talking", 3],
    ["base", 3],
  ]);
  // The last model against the first.
  expect(leaderboard.focus).toMatchObject({ model: "base", baseline: "talking" });
  const written = JSON.parse(readFileSync(join(folder, "arc_challenge", "base", "results.json"), "utf8"));
  const { acc_norm } = task!.models[1]!.figures;
  expect(100 * written.results.arc_challenge["acc_norm,none"]).toBeCloseTo(acc_norm!.value, 9);
});

test("a task of the caller's own is measured where the suite names it", async () => {
  const file = join(scratch, "colours.jsonl");
  const colours = ["red", "blue"];
  writeFileSync(file, colours.map((colour) => `${JSON.stringify({ colour })}\n`).join(""));
  const { results } = await evaluate(
    { benchmarks: [{ kind: "task", task: "colours", data: file, shots: 0 }] },
    [`talking=${talking}`],
    join(scratch, "own-task"),
    [
      defineTask<{ colour: string }>({
        kind: "choices",
        name: "colours",
        version: 1,
        shots: 0,
        sampler: "first",
        splits: { test: "test" },
        row: z.object({ colour: z.string() }),
        metrics: [{ key: "acc,none", title: "Accuracy", of: "mean" }],
        choices: () => colours.map((answer) => ({ before: "Name a colour:", answer })),
        gold: ({ colour }) => colours.indexOf(colour),
        score: ({ colour }, logLikelihoods) => ({
          "acc,none": Number(logLikelihoods[colours.indexOf(colour)] === Math.max(...logLikelihoods)),
        }),
      }),
    ],
  );
  expect(results[0]).toMatchObject({ benchmark: "colours", official: false });
  // One of the two is the more probable, whichever it is.
  expect(results[0]!.models[0]!.figures.acc).toMatchObject({ value: 50 });
});

test("a suite is refused before anything is asked: a task that there is not, a judge that can't talk, a name twice", async () => {
  const refused = async (suite: object, models = [`talking=${talking}`]) => {
    const { rejects } = expect(evaluate(suite, models, join(scratch, "refused")));
    return rejects;
  };
  await (await refused({ benchmarks: [alpaca, { ...choices, task: "arc_chalenge" }] })).toMatchObject({
    message: 'there is no task "arc_chalenge"',
    hint: expect.stringContaining("Did you mean arc_challenge?"),
  });
  await (await refused({ judge: { model: base }, benchmarks: [alpaca] })).toThrow("has no chat template");
  await (await refused({ benchmarks: [choices] }, [`a=${talking}`, `a=${base}`])).toThrow("two models are called a");
  await (await refused({ benchmarks: [choices], models: [] }, [])).toThrow("no model is named");
  const ledger = await openLedger(join(scratch, "refused"));
  expect(await ledger.evaluations.list()).toEqual([]);
  await ledger.close();
});

test("the folder of a run is left alone", async () => {
  const run = join(scratch, "run");
  const ledger = await openLedger(run);
  await ledger.prompts.replace([prompt("a")]);
  await ledger.close();
  await expect(evaluate({ benchmarks: [choices] }, [`talking=${talking}`], run)).rejects.toThrow(
    "holds something else than an evaluation",
  );
  expect(existsSync(join(run, "suite.yaml"))).toBe(false);
});
