import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadFiles, readModelFiles } from "../models/index.ts";
import { readQuadruples } from "../preferences/index.ts";
import { packageFile, quadrupleRowSchema } from "../schema/index.ts";
import { readLedger } from "../store/index.ts";
import { runCommand } from "./commands.ts";
import { readLeaderboard } from "./evaluate/tables/index.ts";
import { latestComparison } from "./evaluating.ts";
import { type Activity, stageNames } from "./events.ts";
import { runSummary } from "./reporting.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld({
  logging: { tensorboard: true, wandb: { project: "tiny" } },
  evaluation: {
    ...{ prompts: { file: "held-out.jsonl" }, k: 2, bootstrap: 200 },
    suites: [{ suite: "suite.yaml", data: packageFile("suites/data/tasks") }],
  },
});
writeFileSync(
  join(world.folder, "suite.yaml"),
  "name: choices\nbenchmarks: [{ kind: task, task: arc_challenge, data: arc_challenge, shots: 0, limit: 4 }]\n",
);
const folder = runFolder(world, "whole");
const paths = runPaths(folder);
const fusedWeights = join(paths.fusedModel, "model.safetensors");
const first = hearing();
let summary = "";

beforeAll(async () => {
  summary = await withRun({ folder, recipeFile: world.recipeFile, heard: first }, async (run) => {
    await runStages(run, stageNames);
    return runSummary(run);
  });
});
afterAll(() => world.remove());

/** Runs the whole again, with a recipe changed so, and gives the stages that had something to do. */
async function workedAgain(overrides: readonly string[]): Promise<Activity[]> {
  const heard = hearing();
  await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, stageNames));
  expect(heard.finished.map(([name]) => name)).toEqual(stageNames);
  return heard.finished.filter(([, skipped]) => !skipped).map(([name]) => name);
}

const written = (file: string) => statSync(file).mtimeMs;

describe("a whole run", () => {
  test("writes its metrics for TensorBoard and W&B besides", () => {
    const files = readdirSync(join(folder, "metrics"), { recursive: true, encoding: "utf8" }).sort();
    const forms = files.filter((name) => name.includes(".")).map((name) => name.replaceAll(/\d{6,}[^/]*/g, "N"));
    expect(forms).toEqual([
      "sft.jsonl",
      "tensorboard/sft/events.out.tfevents.N",
      "tensorboard/wrpo/events.out.tfevents.N",
      expect.stringMatching(/^wandb\/offline-run-N\/run-[^/]*$/),
      expect.stringMatching(/^wandb\/offline-run-N\/run-[^/]*$/),
      "wrpo.jsonl",
    ]);
  });

  test("measures the models before and after by the recipe's suite, and the report shows the figures", () => {
    const { models, benchmarks } = readLeaderboard(join(folder, "evaluations", "choices"));
    expect(models).toEqual(["untuned", "sft", "wrpo"]);
    expect(benchmarks.map(({ benchmark, models: measured }) => [benchmark, measured.length])).toEqual([
      ["arc_challenge", 3],
    ]);
    const { figures } = benchmarks[0]!.models[2]!;
    const report = readFileSync(paths.report, "utf8");
    expect(report).toContain("Benchmarks: choices");
    expect(report).toContain("evaluations/choices/leaderboard.html");
    expect(summary).toMatch(new RegExp(`^  after WRPO \\(fused\\) +${figures.acc_norm!.value.toFixed(2)} ± .*†`, "m"));
  });

  test("does every stage once, in order", () => {
    expect(first.finished).toEqual(stageNames.map((name) => [name, false]));
  });

  test("leaves every response, score, selection and comparison in the ledger", async () => {
    const ledger = await readLedger(folder);
    try {
      const counted = (await ledger.drawStatus()).map(({ stage, source, done, total, failed }) => [
        `${stage} ${source}`,
        done,
        total,
        failed,
      ]);
      expect(Object.fromEntries(counted.map(([name, ...counts]) => [name, counts]))).toEqual({
        "evaluation/sft target": [12, 12, 0],
        "evaluation/untuned target": [12, 12, 0],
        "evaluation/wrpo target": [12, 12, 0],
        "sources gemma": [36, 36, 0],
        "sources llama": [36, 36, 0],
        "sources qwen": [36, 36, 0],
        "target target": [24, 24, 0],
      });
      for (const { done, total, failed } of await ledger.scoreStatus()) expect([done, failed]).toEqual([total, 0]);
      expect(await ledger.selections.list("sft")).toHaveLength(4);
      expect(await ledger.selections.list("wrpo")).toHaveLength(8);
      expect((await ledger.stages.list()).map(({ state }) => state)).toEqual(stageNames.map(() => "done"));
      const comparison = await latestComparison({ ledger: ledger as never });
      expect(comparison!.models.map(({ label, responses, scored }) => [label, responses, scored])).toEqual([
        ["untuned", 12, 12],
        ["sft", 12, 12],
        ["wrpo", 12, 12],
      ]);
      await ledger.verify();
    } finally {
      await ledger.close();
    }
  });

  test("selects the best and the worst: y_ws of all sources, y_wt and y_l of the tuned target's own", async () => {
    await withRun({ folder }, async ({ ledger }) => {
      const { reward } = (await ledger.scoreStatus())[0]!;
      const values = async (stage: string) => {
        const found = new Map<string, Map<string, number>>();
        for await (const { prompt, responses } of ledger.scores.byPrompt(stage, reward))
          found.set(prompt.id, new Map(responses.map(({ key, value }) => [key, value])));
        return found;
      };
      const sources = await values("sources");
      const targets = await values("target");
      let quadruples = 0;
      for (const split of ["sft", "wrpo"] as const)
        for (const selection of await ledger.selections.list(split)) {
          const { promptId, sourceChosen, targetChosen, rejected, sourceRejected } = selection;
          if (sourceChosen === undefined) continue;
          const all = sources.get(promptId)!;
          expect(all.size).toBe(9);
          expect(all.get(sourceChosen)).toBe(Math.max(...all.values()));
          if (split === "sft") continue;
          quadruples += 1;
          const own = targets.get(promptId)!;
          expect(own.get(targetChosen!)).toBe(Math.max(...own.values()));
          expect(own.get(rejected!)).toBe(Math.min(...own.values()));
          expect(own.get(targetChosen!)).toBeGreaterThan(own.get(rejected!)!);
          if (sourceRejected !== undefined) expect(all.get(sourceRejected)!).toBeLessThan(all.get(sourceChosen)!);
        }
      expect(quadruples).toBeGreaterThan(2);
      expect(jsonLines(paths.quadruples)).toHaveLength(quadruples);
    });
  });

  test("writes quadruples in the interchange format", async () => {
    for (const row of jsonLines(paths.quadruples)) {
      const { prompt, chosen, rejected } = quadrupleRowSchema.parse(row);
      expect(prompt).toMatchObject({ role: "user", content: expect.stringMatching(/^Write about .* \(train \d+\)/) });
      expect([chosen.length, rejected.length]).toEqual([2, 1]);
    }
    expect(await readQuadruples(paths.quadruples)).toHaveLength(jsonLines(paths.quadruples).length);
  });

  test("trains: metrics have a line a step, and the weights differ from stage to stage", async () => {
    const sft = jsonLines(paths.metrics("sft"));
    expect(sft.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const wrpo = jsonLines(paths.metrics("wrpo"));
    const steps = Math.ceil((2 * jsonLines(paths.quadruples).length) / 2);
    expect(wrpo.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
    expect(wrpo.map(({ cur_alpha }) => cur_alpha as number)).toEqual(
      wrpo.map((_, index) => expect.closeTo((0.1 * index) / steps, 6)),
    );
    // Reference and policy are one model before the first step.
    expect(wrpo[0]!.loss).toBeCloseTo(Math.log(2), 6);
    expect(wrpo[0]!["rewards/chosen"]).toBeCloseTo(0, 5);
    expect(wrpo.at(-1)!.loss).toBeLessThan(Math.log(2));

    const finalNorm = async (path: string) => {
      const files = await readModelFiles(path, "a model");
      const { decoder, tokenizer } = loadFiles(files, { precision: "fp32", device: "cpu" });
      expect(tokenizer.encodePrompt([{ role: "user", content: "Hello" }]).length).toBeGreaterThan(5);
      return Buffer.from(decoder.parameters.get("model.norm.weight")!.bytes()).toString("hex");
    };
    const norms = await Promise.all([world.models.llama, paths.sftModel, paths.fusedModel].map(finalNorm));
    expect(new Set(norms).size).toBe(3);
  });

  test("leaves a model card, a report and no checkpoints", () => {
    const card = readFileSync(join(paths.fusedModel, "README.md"), "utf8");
    expect(card).toContain("qwen");
    expect(card).toContain("WRPO");
    expect(readFileSync(paths.report, "utf8")).toContain("</html>");
    expect([existsSync(paths.checkpoints("sft")), existsSync(paths.checkpoints("wrpo"))]).toEqual([false, false]);
    expect(summary).toContain(paths.fusedModel);
  });
});

describe("a second run", () => {
  test("does nothing: nothing drawn, scored, trained or written", async () => {
    const files = [fusedWeights, paths.report, paths.quadruples, paths.metrics("sft"), paths.metrics("wrpo")];
    const before = files.map(written);
    const counts = await withRun({ folder }, async ({ ledger }) => (await ledger.stages.list()).map((stage) => stage));
    const heard = hearing();
    await withRun({ folder, heard }, (run) => runStages(run, stageNames));
    expect(heard.finished).toEqual(stageNames.map((name) => [name, true]));
    expect(heard.progress).toEqual([]);
    expect(heard.notices).toEqual([]);
    expect(files.map(written)).toEqual(before);
    await withRun({ folder }, async ({ ledger }) => {
      const after = await ledger.stages.list();
      const kept = (stages: typeof after) =>
        stages.map(({ name, state, done, total, counts }) => ({ name, state, done, total, counts }));
      expect(kept(after)).toEqual(kept(counts));
    });
  });

  test("with another checkpoint interval or micro-batch makes nothing anew", async () => {
    expect(await workedAgain(["sft.checkpoint_every_steps=3", "wrpo.micro_batch_tokens=1000"])).toEqual(["report"]);
  });

  test("with another beta redoes WRPO and what follows; the first run's figures come back with its beta", async () => {
    const sft = written(join(paths.sftModel, "model.safetensors"));
    const before = readFileSync(fusedWeights);
    expect(await workedAgain(["wrpo.beta=0.5"])).toEqual(["wrpo", "evaluate", "report"]);
    expect(readFileSync(fusedWeights).equals(before)).toBe(false);
    expect(written(join(paths.sftModel, "model.safetensors"))).toBe(sft);
    expect(jsonLines(paths.metrics("wrpo")).map(({ step }) => step)).toEqual(
      jsonLines(paths.metrics("wrpo")).map((_, index) => index + 1),
    );
    const heard = hearing();
    await withRun({ folder, recipeFile: world.recipeFile, heard }, (run) => runStages(run, stageNames));
    expect(readFileSync(fusedWeights).equals(before)).toBe(true);
    // The responses of the first fused model are still there: none is drawn again.
    expect(heard.progress.filter(({ unit }) => unit === "responses")).toEqual([]);
  });

  test("with an objective that needs no reference computes none, and names it in the card", async () => {
    const reference = ({ progress }: ReturnType<typeof hearing>) =>
      progress.some(({ label }) => label === "reference log-probs");
    expect(reference(first)).toBe(true);
    const heard = hearing();
    const overrides = ["wrpo.objective=simpo"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, ["wrpo"]));
    expect(heard.finished).toEqual([["wrpo", false]]);
    expect(reference(heard)).toBe(false);
    expect(readFileSync(join(paths.fusedModel, "README.md"), "utf8")).toContain("simpo, beta ");
    expect(await workedAgain([])).toContain("wrpo");
  });

  test("with Eq. 9 learns from the worst response of the source that gave the best", async () => {
    const heard = hearing();
    const overrides = ["wrpo.objective=wrpo_source_rejected"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, ["wrpo"]));
    expect(heard.finished).toEqual([["wrpo", false]]);
    for (const step of jsonLines(paths.metrics("wrpo"))) expect(step["rewards/source_rejected"]).toBeTypeOf("number");
    expect(await workedAgain([])).toContain("wrpo");
  });

  test("with KTO computes the reference of mismatched responses, too, and tells the KL", async () => {
    const heard = hearing();
    const overrides = ["wrpo.objective=kto"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, ["wrpo"]));
    expect(heard.finished).toEqual([["wrpo", false]]);
    for (const step of jsonLines(paths.metrics("wrpo"))) expect(step.kl).toBeGreaterThanOrEqual(0);
    expect(await workedAgain([])).toContain("wrpo");
  });

  test("with the reference code's tokenisation learns from other tokens", async () => {
    const heard = hearing();
    const before = jsonLines(paths.metrics("wrpo"))[0]!;
    const overrides = ["wrpo.tokenisation=wrpo_reference"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, ["wrpo"]));
    expect(heard.finished).toEqual([["wrpo", false]]);
    // Headers and a second end of turn are scored, too.
    expect(jsonLines(paths.metrics("wrpo"))[0]!["logps/rejected"]).toBeLessThan(
      (before["logps/rejected"] as number) - 1,
    );
    expect(await workedAgain([])).toContain("wrpo");
  });

  test("with a reference that follows the policy computes none beforehand", async () => {
    const heard = hearing();
    const overrides = ["wrpo.reference_sync_steps=1", "wrpo.epochs=2"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, ["wrpo"]));
    expect(heard.finished).toEqual([["wrpo", false]]);
    expect(heard.progress.map(({ label }) => label)).not.toContain("reference log-probs");
    expect(await workedAgain([])).toContain("wrpo");
  });

  test("with two responses of the sources selects, writes and learns from both", async () => {
    const heard = hearing();
    const overrides = ["selection.source_responses=2", "wrpo.source_weights=[2, 1]"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, async (run) => {
      await runStages(run, ["select_quadruples", "wrpo"]);
      const stored = (await run.ledger.selections.list("wrpo")).filter(({ leftOut }) => leftOut === undefined);
      const texts = await run.ledger.responses.texts(
        stored.flatMap(({ promptId, furtherSources }) => furtherSources!.map((key) => ({ promptId, key }))),
      );
      const rows = jsonLines(paths.quadruples) as unknown as { chosen: { content: string }[] }[];
      expect(rows.map(({ chosen }) => chosen.length)).toEqual(stored.map(() => 3));
      for (const [k, { furtherSources }] of stored.entries())
        expect(rows[k]!.chosen[1]!.content).toBe(texts.get(furtherSources![0]!));
    });
    expect(heard.finished).toEqual([
      ["select_quadruples", false],
      ["wrpo", false],
    ]);
    expect(readFileSync(join(paths.fusedModel, "README.md"), "utf8")).toContain("each of the 2 best sources");
    expect(await workedAgain([])).toEqual(expect.arrayContaining(["select_quadruples", "wrpo"]));
  });

  test("with another evaluation redoes that alone", async () => {
    expect(await workedAgain(["evaluation.k=3"])).toEqual(["evaluate", "report"]);
    expect(await workedAgain([])).toEqual(["evaluate", "report"]);
  });

  test("stage by stage: a command whose forerunners are out of date names what comes first", async () => {
    const commands = (overrides: readonly string[], command: "train" | "sample") =>
      withRun({ folder, recipeFile: world.recipeFile, overrides }, (run) => runCommand(run, command));
    expect(await commands([], "train")).toBeUndefined();
    await expect(commands(["sampling.temperature=0.9"], "train")).rejects.toMatchObject({
      name: "LedgerError",
      hint: expect.stringContaining("First comes: amalgam sample"),
    });
    expect(await commands(["wrpo.alpha=0.2"], "sample")).toBe("train");
  });

  test("with one response more of each draws only these", async () => {
    const heard = hearing();
    const overrides = ["sampling.n=4"];
    await withRun({ folder, recipeFile: world.recipeFile, overrides, heard }, (run) => runStages(run, ["sample"]));
    const totals = heard.progress.map(({ label, total }) => `${label} ${total}`);
    expect([...new Set(totals)]).toEqual(["llama 12", "qwen 12", "gemma 12"]);
  });
});

test("a model under two names is drawn from once, and the run says so", async () => {
  const twice = [
    ...world.recipe.sources,
    { name: "llama-again", model: world.models.llama, precision: "fp32" as const },
  ];
  world.write({ sources: twice });
  const heard = hearing();
  const where = { folder: runFolder(world, "twice"), recipeFile: world.recipeFile, heard };
  await withRun(where, async (run) => {
    await runStages(run, ["sample", "score", "select_sft"]);
    expect((await run.ledger.drawStatus()).map(({ source, done, total }) => [source, done, total])).toEqual([
      ["gemma", 36, 36],
      ["llama", 36, 36],
      ["llama-again", 36, 36],
      ["qwen", 36, 36],
    ]);
  });
  world.write({});
  expect(new Set(heard.progress.filter(({ stage }) => stage === "sample").map(({ label }) => label))).toEqual(
    new Set(["llama", "qwen", "gemma"]),
  );
  expect(heard.notices.join("\n")).toContain("llama and llama-again are one model with one sampling");
});

test("command by command, a recipe is named once: its stages are done for those that find it in the run folder", async () => {
  const place = runFolder(world, "by-command");
  const [named, found] = [{ folder: place, recipeFile: world.recipeFile }, { folder: place }];
  expect(await withRun(named, (run) => runCommand(run, "sample"))).toBe("score");
  expect(await withRun(found, (run) => runCommand(run, "score"))).toBe("select");
  expect(await withRun(named, (run) => runCommand(run, "select"))).toBe("train");
});
