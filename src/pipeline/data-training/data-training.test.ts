import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadFiles, readModelFiles } from "../../models/index.ts";
import { objectiveOf } from "../../objectives/index.ts";
import { dataTrainingSettings, type PreferenceSettings } from "../../schema/index.ts";
import { batchLogProbs, packBundles } from "../../scoring/index.ts";
import { noGrad, scope, toNumbers } from "../../torch/index.ts";
import { movingReference, preferenceTask, tokeniseRows, train, withReference } from "../../training/index.ts";
import { Interrupted } from "../run.ts";
import { figures, ownData, pair, pairs, tinySettings, weightsDigest } from "../testing/own-data.ts";
import { hearing } from "../testing/tiny-world.ts";

const { folder, model, jsonl, own, metricsOf, remove } = ownData();
afterAll(remove);

describe("a training on data of one's own", () => {
  const answer = (content: string) => ({ role: "assistant", content });
  const several = pairs(6).map(({ prompt, chosen, rejected }, k) => ({
    prompt: { role: "user", content: prompt },
    chosen: [`Source one ${k}.`, `Source two, ${"again ".repeat(k)}`, chosen].map(answer),
    rejected: [answer(rejected)],
  }));

  test.each<[string, string, readonly string[], number]>([
    ["plain", "dpo", [], 0],
    ["ld", "dpo", ["ld_alpha=0.3"], 0],
    ["moving", "dpo", ["reference_sync_steps=2", "reference_sync_alpha=0.5"], 0],
    ["sources", "wrpo", ["source_weights=[3, 1]", "beta=0.5"], 2],
    ["reference-tokens", "wrpo", ["tokenisation=wrpo_reference", "max_prompt_length=20", "max_length=60"], 2],
  ])("%s: %s with %j is that of the same rows tokenised at once", async (name, objectiveName, more, sources) => {
    const rows = sources === 0 ? pairs(8) : several;
    const options = { data: [jsonl(rows)], objective: objectiveName, settings: [...more, "epochs=2"] };
    const report = await own(name, options);
    expect(report).toMatchObject({ doneBefore: false, rows: { read: rows.length, learnt: rows.length, leftOut: [] } });

    const given = dataTrainingSettings(objectiveName, [...tinySettings, ...more, "epochs=2"]) as PreferenceSettings;
    const recipe = { ...given, evaluation_samples: 0, micro_batch_tokens: given.micro_batch_tokens as number };
    const loaded = loadFiles(await readModelFiles(model, "tiny"), { precision: "fp32", device: "cpu" });
    const texts =
      sources === 0
        ? pairs(8).map(({ prompt, chosen, rejected }) => ({ prompt, responses: [chosen, rejected] }))
        : several.map(({ prompt, chosen, rejected }) => ({
            prompt: prompt.content,
            responses: [...chosen, ...rejected].map(({ content }) => content),
          }));
    const rowsOfTexts = texts.map(({ prompt, responses }, index) => ({
      id: String(index),
      messages: [{ role: "user", content: prompt }],
      responses,
    }));
    const { rows: tokens, cut } = tokeniseRows(rowsOfTexts, loaded.tokenizer, given);
    expect(report.rows.cut).toBe(cut.length);
    if (name === "reference-tokens") expect(cut.length).toBeGreaterThan(0);
    const objective = objectiveOf(given, sources);
    const none = { get: async (keys: readonly unknown[]) => keys.map(() => undefined), add: async () => {} };
    const referenced = await withReference(loaded, tokens, none, {
      microBatchTokens: recipe.micro_batch_tokens,
      dtype: "float32",
      heads: objective.needsHeads ?? false,
      signal: new AbortController().signal,
    });
    const reference =
      name === "moving" ? { reference: movingReference(loaded.decoder, { everySteps: 2, alpha: 0.5 }) } : {};
    const steps: Record<string, unknown>[] = [];
    await train(loaded.decoder, preferenceTask(referenced!, objective, reference), {
      recipe,
      seed: given.seed,
      dtype: "float32",
      inputs: "",
      onStep: (step) => void steps.push({ ...step }),
    });
    expect(report.steps).toBe(steps.length);
    expect(figures(metricsOf(name))).toEqual(figures(steps));
    expect(steps[0]!.loss).toBeCloseTo(Math.LN2, 6);
  });

  test("rows of another number of sources are an error with their place", async () => {
    const [first, second] = several;
    const file = jsonl([first, { ...second, chosen: second!.chosen.slice(1) }]);
    await expect(own("odd", { data: [file], objective: "wrpo" })).rejects.toMatchObject({
      code: "DATA",
      place: { file, line: 2, field: "chosen" },
    });
  });

  test("of less than an epoch counts the rows that were learnt, and those whose turn never came", async () => {
    const rows = [...pairs(9), { prompt: "x", chosen: "", rejected: "l" }];
    const part = await own("part", { data: [jsonl(rows)], settings: ["epochs=0.5"] });
    expect(part.rows).toMatchObject({ read: 10, learnt: 5, unused: 4, heldOut: 0 });
    const twice = await own("twice", { data: [jsonl(rows)], settings: ["epochs=1.4"] });
    expect(twice.rows).toMatchObject({ read: 10, learnt: 9, unused: 0 });
  });

  test("a batch that is smaller by a row has the mean over the others", async () => {
    const long = { prompt: "x ".repeat(400), chosen: "w", rejected: "l" };
    const rows = [pair(0), long, pair(1)];
    const report = await own("smaller", { data: [jsonl(rows)], objective: "simpo" });
    expect(report).toMatchObject({ rows: { learnt: 2 }, smallerSteps: 1, steps: 1 });
    await own("without", { data: [jsonl([pair(0), pair(1)])], objective: "simpo" });
    for (const name of ["loss", "grad_norm", "logps/chosen"])
      expect(metricsOf("smaller")[0]![name]).toBeCloseTo(metricsOf("without")[0]![name] as number, 4);
  });

  test("supervised, packed: as many steps as the sequences make, each row once", async () => {
    const rows = Array.from({ length: 40 }, (_, k) => ({
      prompt: `Say ${k}.`,
      completion: `Said, ${"and again ".repeat(1 + (k % 7))}${k}.`,
    }));
    const rowWise = await own("rows", { data: [jsonl(rows)], objective: "sft", settings: ["batch_size=40"] });
    const packedOptions = ["packing=true", "batch_size=2"];
    const packed = await own("packed", { data: [jsonl(rows)], objective: "sft", settings: packedOptions });
    expect(packed.rows).toMatchObject({ learnt: 40, unused: 0 });
    expect(packed.steps).toBeGreaterThan(3);
    const tokens = (name: string) => metricsOf(name).map((step) => step.tokens as number);
    expect(tokens("packed").reduce((sum, count) => sum + count, 0)).toBe(tokens("rows")[0]);
    // Sequences of about max_length tokens: two a step.
    for (const count of tokens("packed")) expect(count).toBeLessThan(1.15 * 400);
    expect(packed.steps).toBeLessThanOrEqual(Math.ceil(tokens("rows")[0]! / 400) + 1);
    expect(rowWise.steps).toBe(1);
  });

  test("stopped and called again gives the weights of one that was not, and computes no reference twice", async () => {
    const data = [jsonl(pairs(12))];
    const whole = await own("whole", { data, settings: ["checkpoint_every_steps=1"] });
    const controller = new AbortController();
    const stopping = hearing(({ unit, done }) => {
      if (unit === "steps" && done === 2) controller.abort();
    });
    const options = { data, settings: ["checkpoint_every_steps=1"] };
    await expect(own("stopped", { ...options, signal: controller.signal }, stopping)).rejects.toThrow(Interrupted);
    expect(existsSync(join(folder, "stopped", "model"))).toBe(false);

    const again = hearing();
    const report = await own("stopped", options, again);
    expect(again.progress.filter(({ label }) => label === "reference log-probs")).toEqual([]);
    expect(again.progress.filter(({ unit }) => unit === "steps").map(({ done }) => done)).toEqual([3, 4]);
    expect(weightsDigest(report.model)).toBe(weightsDigest(whole.model));
    expect(figures(metricsOf("stopped"))).toEqual(figures(metricsOf("whole")));
    expect(readdirSync(join(folder, "stopped")).sort()).toEqual([
      "ledger",
      "metrics",
      "model",
      "report.json",
      "settings.yaml",
    ]);

    const third = hearing();
    expect(await own("stopped", options, third)).toMatchObject({ doneBefore: true, steps: 4 });
    expect(third.progress).toEqual([]);
  });

  test("with sinks has one run of W&B and a file of TensorBoard for each process; they change no weight", async () => {
    const data = [jsonl(pairs(12))];
    const plain = await own("quiet", { data });
    const sinks = ["logging.tensorboard=true", "logging.wandb={project: p}", "checkpoint_every_steps=1"];
    const controller = new AbortController();
    const stopping = hearing(({ unit, done }) => void (unit === "steps" && done === 2 && controller.abort()));
    await expect(own("logged", { data, settings: sinks, signal: controller.signal }, stopping)).rejects.toThrow(
      Interrupted,
    );
    const report = await own("logged", { data, settings: sinks });
    const metrics = join(folder, "logged", "metrics");
    expect(readdirSync(join(metrics, "tensorboard", "train"))).toHaveLength(2);
    const runs = readdirSync(join(metrics, "wandb"));
    expect(runs).toHaveLength(1);
    const [file] = readdirSync(join(metrics, "wandb", runs[0]!)).filter((name) => name.endsWith(".wandb"));
    const written = readFileSync(join(metrics, "wandb", runs[0]!, file!), "latin1");
    // A summary and a history record for each of the four steps.
    expect(written.match(/rewards\/margins/g)).toHaveLength(8);
    expect(weightsDigest(report.model)).toBe(weightsDigest(plain.model));
  });

  test("stopped within the reference keeps what was computed; other settings use it again", async () => {
    const data = [jsonl(pairs(6))];
    const controller = new AbortController();
    const micro = ["micro_batch_tokens=60"];
    const stopping = hearing(({ label }) => void (label === "reference log-probs" && controller.abort()));
    await expect(own("reference", { data, settings: micro, signal: controller.signal }, stopping)).rejects.toThrow(
      Interrupted,
    );
    const first = stopping.progress.filter(({ label }) => label === "reference log-probs");
    const again = hearing();
    await own("reference", { data, settings: micro }, again);
    const second = again.progress.filter(({ label, done, total }) => label === "reference log-probs" && done <= total);
    // The last line of each pass says that it is at its end.
    expect(first).toHaveLength(1);
    expect(second.length).toBeGreaterThan(1);
    expect(second[0]!.done).toBeGreaterThan(first[0]!.done);
    const other = hearing();
    await own("reference", { data, settings: [...micro, "beta=0.5"] }, other);
    expect(other.progress.filter(({ label }) => label === "reference log-probs")).toEqual([]);
  });

  test("supervised: the loss of the first step is the mean cross-entropy of the answers' tokens", async () => {
    const conversation = {
      messages: [
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Good day to you." },
        { role: "user", content: "And now?" },
        { role: "assistant", content: "Now we part." },
      ],
    };
    const report = await own("sft", { data: [jsonl([conversation])], objective: "sft" });
    expect(report.rows).toMatchObject({ read: 2, learnt: 2 });
    const loaded = loadFiles(await readModelFiles(model, "tiny"), { precision: "fp32", device: "cpu" });
    const bundles = [2, 4].map((turn) => ({
      prompt: loaded.tokenizer.encodePrompt(conversation.messages.slice(0, turn)),
      responses: [loaded.tokenizer.encodeResponse(conversation.messages[turn]!.content)],
    }));
    const sums = noGrad(() =>
      scope(() => toNumbers(batchLogProbs(loaded.decoder, packBundles(bundles), { dtype: "float32" }))),
    );
    const tokens = bundles.reduce((sum, { responses }) => sum + responses[0]!.length, 0);
    expect(metricsOf("sft")[0]!.loss).toBeCloseTo(-(sums[0]! + sums[1]!) / tokens, 5);
  });

  test("WRPO on quadruples, and TRL's pairs and Parquet beside one another", async () => {
    const answer = (content: string) => ({ role: "assistant", content });
    const quadruple = {
      prompt_id: "q",
      prompt: { role: "user", content: "Why?" },
      chosen: [answer("Because of the rain."), answer("Because.")],
      rejected: [answer("No.")],
    };
    const wrpo = await own("wrpo", { data: [jsonl([quadruple])], objective: "wrpo" });
    expect(Object.keys(wrpo.last!)).toContain("rewards/source_chosen");
    const parquet = join(import.meta.dirname, "../../preferences/fixtures/snappy.parquet");
    const both = await own("both", { data: [jsonl(pairs(2)), parquet] });
    expect(both.files.map(({ rows }) => rows)).toEqual([2, 7]);
    expect(both.rows).toMatchObject({ read: 9, learnt: 6 });
    expect(both.rows.leftOut.map(({ rows, first }) => [rows, first[0]!.split("/").at(-1)])).toEqual([
      [1, "snappy.parquet:4"],
      [1, "snappy.parquet:5"],
      [1, "snappy.parquet:6"],
    ]);
  });
});
