import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Interrupted } from "../run.ts";
import { weightsDigest as digestOf, ownData, pair, pairs as some } from "../testing/own-data.ts";
import { hearing } from "../testing/tiny-world.ts";

const { folder, jsonl, own, metricsOf: linesOf, remove } = ownData();
afterAll(remove);

const pairs = some(12);
const reversed = pairs.map(({ prompt, chosen, rejected }) => ({ prompt, chosen: rejected, rejected: chosen }));
const evaluationsOf = (name: string) => linesOf(name).filter((line) => "eval/loss" in line);

describe("rows to evaluate on", () => {
  test("from a file of their own: evaluated before the first step, every so many, and at the end; not learnt", async () => {
    const heard = hearing();
    const data = [jsonl(pairs)];
    const evalData = [jsonl([...reversed.slice(0, 5), { prompt: "x", chosen: "", rejected: "l" }])];
    const report = await own("file", { data, evalData, settings: ["evaluate_every_steps=2"] }, heard);
    expect(report.rows).toMatchObject({ read: 18, learnt: 12, heldOut: 5, unused: 0 });
    expect(report.files.map(({ rows }) => rows)).toEqual([12, 6]);
    const evaluations = evaluationsOf("file");
    expect(evaluations.map(({ step }) => step)).toEqual([0, 2, 4]);
    expect(evaluations[0]!["eval/loss"]).toBeCloseTo(Math.LN2, 5);
    expect(evaluations[0]!["eval/rewards/accuracies"]).toBe(0);
    expect(report.evaluation).toEqual(evaluations.at(-1));
    // What is learnt is the opposite of what is evaluated.
    expect(evaluations.at(-1)!["eval/rewards/margins"]).toBeLessThan(0);
    expect(heard.notices).toContain("5 of the rows to evaluate on have prompts that are learnt, too");
    expect(heard.notices.some((line) => line.endsWith("(to evaluate on)"))).toBe(true);
    const plain = await own("plain", { data });
    expect(digestOf(report.model)).toBe(digestOf(plain.model));
  });

  test("from a data set's folder: its shards are learnt in order, and its test split is evaluated on", async () => {
    const shards = join(folder, "shards");
    mkdirSync(shards);
    const move = (rows: readonly unknown[], name: string) => renameSync(jsonl(rows), join(shards, name));
    move(pairs.slice(7), "train-00001-of-00002.jsonl");
    move(pairs.slice(0, 7), "train-00000-of-00002.jsonl");
    move(reversed.slice(0, 5), "test-00000-of-00001.jsonl");
    const report = await own("folder", { data: [shards], evalData: [shards] });
    expect(report.rows).toMatchObject({ learnt: 12, heldOut: 5 });
    expect(digestOf(report.model)).toBe(digestOf((await own("as files", { data: [jsonl(pairs)] })).model));
    await expect(own("no split", { data: [shards], split: "dev" })).rejects.toThrow("the data set has no split dev");
    await expect(own("a file", { data: [jsonl(pairs)], split: "test" })).rejects.toThrow("a file has no splits");
  });

  test.each(["dpo", "simpo", "sft", "kto", "aot"])(
    "%s: a share of the prompts; the training is that of the other rows alone",
    async (objective) => {
      const [all, again] = [[...pairs, { ...pair(3), rejected: "Another" }], ["held_out_share=0.3"]];
      const report = await own(`share-${objective}`, { data: [jsonl(all)], objective, settings: again });
      expect(report.rows.heldOut).toBeGreaterThan(0);
      expect(report.rows.learnt + report.rows.heldOut).toBe(13);
      expect(evaluationsOf(`share-${objective}`).length).toBeGreaterThan(1);
      // Which prompts they are is told by what is left: a training without them has the very same figures.
      const steps = linesOf(`share-${objective}`).filter((line) => "tokens" in line);
      const rest = all.slice(0).filter((row) => !heldOutBy(row.prompt));
      expect(rest.length).toBe(report.rows.learnt);
      await own(`rest-${objective}`, { data: [jsonl(rest)], objective });
      expect(linesOf(`rest-${objective}`).map(({ loss, tokens }) => [loss, tokens])).toEqual(
        steps.map(({ loss, tokens }) => [loss, tokens]),
      );
    },
  );

  /** The rule of `holdOut`, over the digest of the messages and no tools. */
  function heldOutBy(prompt: string): boolean {
    const sha256 = (text: string) => createHash("sha256").update(text);
    const lot = (text: string) => {
      const messages = [{ role: "user", content: text }];
      const digest = sha256(JSON.stringify([messages, null]))
        .digest("base64")
        .slice(0, 22);
      return sha256(`42/held-out/${digest}`).digest("hex");
    };
    const most = Math.floor(0.3 * 2 ** 32);
    const low = pairs.map((row) => lot(row.prompt)).filter((text) => Number.parseInt(text.slice(0, 8), 16) < most);
    expect(low.length).toBeGreaterThan(0);
    return low.includes(lot(prompt));
  }
});

describe("early stopping", () => {
  const early = [
    "epochs=6",
    "evaluate_every_steps=2",
    "early_stopping={metric: rewards/margins, patience: 2}",
    "checkpoint_every_steps=1",
  ];
  const data = () => [jsonl(pairs)];
  const evalData = () => [jsonl(reversed)];

  test("makes the model of the best evaluation, and goes on alike after a stop", async () => {
    const want = await own("early", { data: data(), evalData: evalData(), settings: early });
    expect(want).toMatchObject({ bestStep: 2, steps: 6 });
    expect(existsSync(join(folder, "early", "checkpoints"))).toBe(false);
    const control = new AbortController();
    const stopping = hearing(({ unit, done }) => void (unit === "steps" && done === 3 && control.abort()));
    const options = { data: data(), evalData: evalData(), settings: early };
    await expect(own("stopped", { ...options, signal: control.signal }, stopping)).rejects.toThrow(Interrupted);
    const report = await own("stopped", options);
    expect(digestOf(report.model)).toBe(digestOf(want.model));
    expect([report.bestStep, report.rows]).toEqual([want.bestStep, want.rows]);
    expect(evaluationsOf("stopped")).toEqual(evaluationsOf("early"));
  });

  test("keep_best keeps checkpoints; without rows to go by both are refused, and rows given twice", async () => {
    await own("kept", { data: data(), evalData: evalData(), settings: ["keep_best=1"] });
    expect(existsSync(join(folder, "kept", "checkpoints"))).toBe(true);
    for (const field of ["keep_best=1", "early_stopping={patience: 2}"])
      await expect(own("blind", { data: data(), settings: [field] })).rejects.toThrow(/no rows are held out for one/);
    await expect(own("both", { data: data(), evalData: evalData(), settings: ["held_out_share=0.1"] })).rejects.toThrow(
      /by --eval-data, and a share/,
    );
    await expect(
      own("unknown", { data: data(), evalData: evalData(), settings: ["early_stopping={metric: reward}"] }),
    ).rejects.toThrow(/no evaluation gives reward/);
    await expect(
      own("none", { data: data(), evalData: [jsonl([{ prompt: "x", chosen: "", rejected: "l" }])] }),
    ).rejects.toThrow("no row is left to evaluate on");
  });
});
