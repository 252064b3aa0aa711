import { readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Interrupted } from "../run.ts";
import { ownData, pairs, weightsDigest } from "../testing/own-data.ts";
import { hearing } from "../testing/tiny-world.ts";

const { folder, jsonl, own, remove } = ownData();
afterAll(remove);

test("a damaged report is told with what to do", async () => {
  const data = [jsonl(pairs(2))];
  const { model } = await own("report", { data });
  const digest = weightsDigest(model);
  const report = join(folder, "report", "report.json");
  writeFileSync(report, "");
  await expect(own("report", { data })).rejects.toMatchObject({ code: "TRAINING", place: { file: report } });
  expect(weightsDigest(model)).toBe(digest);
  rmSync(report);
  expect(await own("report", { data })).toMatchObject({ doneBefore: false, steps: 1 });
  expect(weightsDigest(model)).toBe(digest);
});

test.each(["weights", "optimiser"])(
  "%s of a checkpoint that are damaged are told; without it the training goes on from the one before",
  async (part) => {
    const data = [jsonl(pairs(12))];
    const settings = ["checkpoint_every_steps=1", "keep_last=2"];
    const controller = new AbortController();
    const stopping = hearing(({ unit, done }) => void (unit === "steps" && done === 3 && controller.abort()));
    await expect(own(part, { data, settings, signal: controller.signal }, stopping)).rejects.toThrow(Interrupted);
    const checkpoints = join(folder, part, "checkpoints");
    const latest = join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
    const file = join(latest, `${part}.safetensors`);
    truncateSync(file, 100);
    await expect(own(part, { data, settings })).rejects.toMatchObject({
      code: "LEDGER",
      message: expect.stringContaining("the checkpoint can't be read"),
      hint: expect.stringContaining("Remove the checkpoint's folder"),
    });
    rmSync(latest, { recursive: true });
    const heard = hearing();
    const report = await own(part, { data, settings }, heard);
    expect(heard.progress.filter(({ unit }) => unit === "steps").map(({ done }) => done)).toEqual([3, 4]);
    const whole = await own(`${part}-whole`, { data, settings });
    expect(weightsDigest(report.model)).toBe(weightsDigest(whole.model));
  },
);
