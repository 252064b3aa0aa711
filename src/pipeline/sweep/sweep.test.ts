import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readLedger } from "../../store/index.ts";
import { stageNames } from "../events.ts";
import { runPaths } from "../run.ts";
import { runStages } from "../stages.ts";
import { runStatus } from "../status.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "../testing/tiny-world.ts";
import { runSweep } from "./index.ts";
import type { VariantResult } from "./results.ts";
import { sweepStatus } from "./status.ts";
import type { SweepReport } from "./write.ts";

const world = tinyWorld();
const file = join(world.folder, "sweep.yaml");
writeFileSync(
  file,
  `
name: tiny-sweep
recipe: world.yaml
set: { wrpo.held_out_share: 0.3, evaluation.log_probs: true }
variants:
  - name: plain
  - name: dpo
    set: { wrpo.objective: dpo }
  - name: untuned
    set: { sft.enabled: false }
grid:
  wrpo.alpha: [0.3, 1]
`,
);
const names = ["plain", "dpo", "untuned", "alpha-0.3", "alpha-1"];
const folder = join(world.folder, "sweep");
const at = (name: string) => join(folder, name);
const heard = hearing();
let report: SweepReport;

const sweep = (listening = hearing(), changes: Partial<Parameters<typeof runSweep>[0]> = {}) =>
  runSweep({
    file,
    folder,
    signal: new AbortController().signal,
    listener: listening.listener,
    offline: true,
    ...changes,
  });

beforeAll(async () => {
  report = await sweep(heard);
});
afterAll(() => world.remove());

const weights = (run: string, model: "sft" | "fused") => readFileSync(join(run, "models", model, "model.safetensors"));

/** Items that were worked on in a stage, by the variant that did so. */
function worked(stage: string, unit: string): Record<string, number> {
  const last = new Map<string, number>();
  for (const progress of heard.progress)
    if (progress.stage === stage && progress.unit === unit && !progress.label.startsWith("log-probs"))
      last.set(progress.label, progress.done);
  const sums: Record<string, number> = {};
  for (const [label, done] of last) {
    const variant = /\((\S+), \d of \d\)$/.exec(label)![1]!;
    sums[variant] = (sums[variant] ?? 0) + done;
  }
  return sums;
}

describe("what variants have in common", () => {
  test("is done once: each response, score, step by the first variant that has it", () => {
    expect(worked("sample", "responses")).toEqual({ plain: 108 });
    expect(worked("score", "scores")).toEqual({ plain: 108 });
    expect(Object.keys(worked("sft", "steps"))).toEqual(["plain"]);
    // Without tuning, WRPO's target is one of the sources, which has answered.
    expect(worked("sample_target", "responses")).toEqual({ plain: 24 });
    expect(worked("score_target", "scores")).toEqual({ plain: 24 });
    // Untuned and tuned model are asked by the first; the others ask for their fused models only.
    const evaluated = worked("evaluate", "responses");
    expect(evaluated).toMatchObject({ dpo: 12, untuned: 12, "alpha-0.3": 12, "alpha-1": 12 });
    // The reference's log-probs: of the tuned target once, of the untuned one once.
    expect(Object.keys(worked("wrpo", "rows"))).toEqual(["plain", "untuned"]);
    expect(Object.keys(worked("wrpo", "steps"))).toEqual(names);
  });

  test("is the same to the last byte, and the ledgers say from where", async () => {
    for (const name of ["dpo", "alpha-0.3", "alpha-1"]) {
      for (const file of [
        "models/sft/model.safetensors",
        "models/sft/config.json",
        "metrics/sft.jsonl",
        "datasets/quadruples.jsonl",
      ])
        expect(
          readFileSync(join(at(name), file)).equals(readFileSync(join(at("plain"), file))),
          `${name} ${file}`,
        ).toBe(true);
      // Weights are there once.
      expect(statSync(join(at(name), "models/sft/model.safetensors")).ino).toBe(
        statSync(join(at("plain"), "models/sft/model.safetensors")).ino,
      );
    }
    expect(report.variants.map(({ seed }) => [seed?.from, seed?.stages.length])).toEqual([
      [undefined, undefined],
      ["plain", 7],
      ["plain", 0],
      ["plain", 7],
      ["plain", 7],
    ]);
    const counts = async (name: string) => {
      const ledger = await readLedger(at(name));
      const records = await ledger.stages.list();
      await ledger.verify();
      await ledger.close();
      return new Map(records.map((record) => [record.name, record]));
    };
    const [plain, dpo] = [await counts("plain"), await counts("dpo")];
    for (const stage of stageNames.slice(0, 7)) expect(dpo.get(stage)!.counts).toEqual(plain.get(stage)!.counts);
  });

  test("changes no result: each variant's models are those of a run by itself", async () => {
    for (const [name, overrides] of [
      ["dpo", ["wrpo.objective=dpo"]],
      ["untuned", ["sft.enabled=false"]],
      ["alpha-0.3", ["wrpo.alpha=0.3"]],
    ] as const) {
      const alone = runFolder(world, `alone-${name}`);
      await withRun(
        { folder: alone, recipeFile: world.recipeFile, overrides: ["wrpo.held_out_share=0.3", ...overrides] },
        (run) => runStages(run, stageNames),
      );
      expect(weights(at(name), "fused").equals(weights(alone, "fused")), name).toBe(true);
      const [own, other] = [await runStatus(at(name)), await runStatus(alone)];
      expect(own.comparison).toEqual(other.comparison);
      expect(own.draws).toEqual(other.draws);
    }
  });
});

describe("the report of a sweep", () => {
  test("has each variant's figures, as its ledger and metrics have them", async () => {
    expect(report.variants.map(({ name, done }) => [name, done])).toEqual(names.map((name) => [name, true]));
    for (const { name, models, training } of report.variants) {
      expect(models).toEqual((await runStatus(at(name))).comparison!.models);
      const last = jsonLines(runPaths(at(name)).metrics("wrpo")).findLast((line) => "eval/loss" in line)!;
      expect(training).toMatchObject({
        measured: "held out",
        loss: last["eval/loss"],
        accuracy: last["eval/rewards/accuracies"],
        margin: last["eval/rewards/margins"],
        sourceAccuracy: last["eval/rewards/source_accuracies"] ?? null,
      });
    }
    const [first, ...others] = report.variants as VariantResult[];
    expect(first!.against).toBeNull();
    const mean = ({ models }: VariantResult) => models!.find(({ label }) => label === "wrpo")!.reward.mean;
    for (const other of others) {
      expect(other.against!.variant).toBe("plain");
      expect(other.against!.comparison.difference).toBeCloseTo(mean(other) - mean(first!), 10);
    }
    expect(JSON.parse(readFileSync(join(folder, "sweep.json"), "utf8"))).toEqual(report);
  });

  test("is a page with figures: rewards, curves, against alpha, log-probs; and nothing from elsewhere", () => {
    const page = readFileSync(join(folder, "sweep.html"), "utf8");
    for (const text of ["Held-out prompts", "Training curves", "Against each value", "How probable the responses are"])
      expect(page).toContain(`<h2>${text}</h2>`);
    for (const name of names) expect(page).toContain(name);
    expect(page).toContain("5 of 5 variants done");
    expect(page.match(/<svg /g)!.length).toBeGreaterThan(20);
    expect(page).not.toMatch(/NaN|undefined|https?:\/\/|<script/);
  });
});

describe("the same command again", () => {
  test("does nothing where all is done", async () => {
    const again = hearing();
    const before = statSync(runPaths(at("dpo")).report).mtimeMs;
    const same = await sweep(again);
    expect([again.finished, again.progress, again.notices]).toEqual([[], [], []]);
    expect({ ...same, madeAt: "" }).toEqual({ ...report, madeAt: "" });
    expect(statSync(runPaths(at("dpo")).report).mtimeMs).toBe(before);
  });

  test("takes a variant that was added, and a change for all goes to all", async () => {
    const added = join(world.folder, "added.yaml");
    writeFileSync(added, readFileSync(file, "utf8").replace("[0.3, 1]", "[0.3, 1, 0.5]"));
    const again = hearing();
    const more = await sweep(again, { file: added });
    expect(more.variants.map(({ name }) => name)).toEqual([...names, "alpha-0.5"]);
    expect(again.finished.filter(([, skipped]) => !skipped).map(([stage]) => stage)).toEqual([
      "wrpo",
      "evaluate",
      "report",
    ]);
    expect(again.notices[0]).toMatch(
      /^variant 6 of 6, alpha-0.5; 7 stages as in plain; about \d+ minutes? left for all$/,
    );
  });
});

describe("what goes wrong", () => {
  test("a variant that fails is told, keeps what it has, and the others are done", async () => {
    const broken = join(world.folder, "broken.yaml");
    const limits = "{ wrpo.max_length: 9, wrpo.max_prompt_length: 8 }";
    writeFileSync(
      broken,
      `recipe: world.yaml\nvariants:\n  - { name: fine }\n  - { name: tight, set: ${limits} }\n  - { name: last, set: { wrpo.alpha: 1 } }\n`,
    );
    const into = join(world.folder, "broken");
    const told = hearing();
    const result = await sweep(told, { file: broken, folder: into });
    expect(result.variants.map(({ name, done }) => [name, done])).toEqual([
      ["fine", true],
      ["tight", false],
      ["last", true],
    ]);
    expect(result.variants[1]!.error).toContain("no row fits into 9 tokens");
    expect(told.notices).toContainEqual(expect.stringMatching(/^the variant tight failed, and the others go on: /));
    expect(readFileSync(join(into, "sweep.html"), "utf8")).toContain("1 variant failed.");
    const status = await sweepStatus(into);
    expect(status.variants.map(({ name, state, stage }) => [name, state, stage])).toEqual([
      ["fine", "done", undefined],
      ["tight", "failed", "wrpo"],
      ["last", "done", undefined],
    ]);
  });

  test("a folder that a run has, or that another sweep is at, is refused", async () => {
    await expect(sweep(hearing(), { folder: at("plain") })).rejects.toThrow("this is the folder of a run");
    const { holdFolder } = await import("../../store/index.ts");
    const hold = holdFolder(folder);
    await expect(sweep()).rejects.toThrow("another process is working");
    hold.release();
  });

  test("half a copy that a kill left is made anew", async () => {
    const into = join(world.folder, "half");
    const two = join(world.folder, "two.yaml");
    writeFileSync(two, "recipe: world.yaml\nvariants: [{ name: a }, { name: b, set: { wrpo.alpha: 1 } }]\n");
    mkdirSync(join(into, "b.partial", "models", "sft"), { recursive: true });
    writeFileSync(join(into, "b.partial", "run.db"), "half");
    const result = await sweep(hearing(), { file: two, folder: into });
    expect(result.variants.every(({ done }) => done)).toBe(true);
    expect(existsSync(join(into, "b.partial"))).toBe(false);
  });
});
