import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../../nn/index.ts";
import { toNumbers } from "../../torch/index.ts";
import { hearing, jsonLines } from "../testing/tiny-world.ts";
import { trainOnData } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-unpaired-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fixtures = fileURLToPath(new URL("fixtures/unpaired", import.meta.url));
const tinyLlama = fileURLToPath(new URL("../../models/fixtures/tiny-llama", import.meta.url));
const model = join(folder, "tiny");
for (const part of [tinyLlama, fixtures]) cpSync(part, model, { recursive: true });

interface Truth {
  readonly steps: readonly Readonly<Record<string, number>>[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
}
// Made by bench/fixtures/unpaired_truth.py.
const truth = JSON.parse(readFileSync(join(fixtures, "truth.json"), "utf8")) as Readonly<Record<string, Truth>>;
const rows = jsonLines(join(fixtures, "rows.jsonl"));

const optimisation = ["precision=fp32", "learning_rate=1e-2", "batch_size=4", "beta=0.3", "schedule=constant"];

async function own(name: string, objective: string, data: readonly unknown[], settings: readonly string[]) {
  const file = join(folder, `${name}.jsonl`);
  writeFileSync(file, data.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const report = await trainOnData({
    ...{ data: [file], objective, model, output: join(folder, name) },
    settings: [...optimisation, "warmup_ratio=0", ...settings],
    signal: new AbortController().signal,
    listener: hearing().listener,
    offline: true,
  });
  return { report, steps: jsonLines(join(folder, name, "metrics", "train.jsonl")) as Record<string, number>[] };
}

describe.each([
  ["kto", ["desirable_weight=1.33", "undesirable_weight=0.7"]],
  ["bco", []],
])("%s on labelled rows", (objective, settings) => {
  test("has the figures of each step and the weights that TRL's trainer has, whatever the micro-batches", async () => {
    const want = truth[objective]!;
    for (const budget of [4096, 200]) {
      const run = await own(`${objective}-${budget}`, objective, rows, [...settings, `micro_batch_tokens=${budget}`]);
      expect(run.report.rows).toMatchObject({ read: 12, learnt: 12, leftOut: [] });
      expect(run.steps).toHaveLength(3);
      for (const [k, step] of want.steps.entries())
        for (const [name, value] of Object.entries(step))
          expect(Math.abs(run.steps[k]![name]! - value), `${name} of step ${k + 1}`).toBeLessThan(
            2e-4 * Math.max(1, Math.abs(value)),
          );
      const { tensors } = openSafetensors(join(run.report.model, "model.safetensors"));
      for (const [name, values] of Object.entries(want.weights)) {
        const got = toNumbers(tensors.get(name)!).filter((_, k) => k % 97 === 0);
        for (const [k, value] of values.entries()) expect(Math.abs(got[k]! - value), name).toBeLessThan(2e-4);
      }
    }
  });
});

describe("pairs", () => {
  const pairs = Array.from({ length: 6 }, (_, k) => ({
    prompt: `Name thing ${k}.`,
    chosen: `Thing ${k} ${"more ".repeat(k % 3)}`,
    rejected: `No ${k * 7}`,
  }));
  const single = pairs.flatMap(({ prompt, chosen, rejected }) => [
    { prompt, completion: chosen, label: true },
    { prompt, completion: rejected, label: false },
  ]);

  test("are two answers each: the loss of a step is that of the same answers alone", async () => {
    for (const objective of ["kto", "bco"]) {
      const paired = await own(`${objective}-pairs`, objective, pairs, ["batch_size=6"]);
      const alone = await own(`${objective}-singles`, objective, single, ["batch_size=12"]);
      expect(paired.report.rows).toMatchObject({ read: 6, learnt: 6 });
      expect(alone.report.rows).toMatchObject({ read: 12, learnt: 12 });
      for (const name of ["loss", "grad_norm", "logps/chosen", "logps/rejected"])
        expect(paired.steps[0]![name]).toBeCloseTo(alone.steps[0]![name]!, 3);
    }
  });

  test("beside labelled answers, each in a file of its own; a single answer is for no objective of pairs", async () => {
    const [pairFile, singleFile] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
    writeFileSync(pairFile, `${JSON.stringify(pairs[0])}\n`);
    writeFileSync(
      singleFile,
      single
        .slice(2, 5)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(""),
    );
    const both = { data: [pairFile, singleFile], model, listener: hearing().listener, offline: true };
    const { signal } = new AbortController();
    const report = await trainOnData({ ...both, signal, objective: "kto", output: join(folder, "both") });
    expect(report.rows).toMatchObject({ read: 4, learnt: 4 });
    await expect(
      trainOnData({ ...both, signal, objective: "dpo", output: join(folder, "refused") }),
    ).rejects.toMatchObject({ code: "DATA", place: { file: singleFile, line: 1 } });
  });

  test("of one prompt only have no mismatched response, and are refused by kto with what to do", async () => {
    const alike = pairs.map((pair) => ({ ...pair, prompt: "The same." }));
    await expect(own("alike", "kto", alike, [])).rejects.toThrow(/kto needs another row's responses/);
    expect((await own("alike-bco", "bco", alike, [])).report.rows.learnt).toBe(6);
  });
});
