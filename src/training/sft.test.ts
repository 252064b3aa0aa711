import { describe, expect, test } from "vitest";
import { tinyFamilies, tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { bundleTokens } from "../scoring/index.ts";
import { backward, scope, toNumbers } from "../torch/index.ts";
import type { TrainingRow } from "./rows.ts";
import { packSequences, sftTask } from "./sft.ts";

const row = (id: string, prompt: number, response: number): TrainingRow => ({
  id,
  prompt: Array.from({ length: prompt }, (_, t) => 5 + t),
  responses: [Array.from({ length: response }, (_, t) => 50 + t)],
});

describe("packing", () => {
  const rows = [10, 7, 3, 9, 1, 12, 5, 2].map((tokens, k) => row(`r${k}`, tokens - 1, 1));

  test("puts a row into the first sequence with room, whole, and loses none", () => {
    const packed = packSequences(rows, 12);
    expect(packed.map((sequence) => sequence.map(bundleTokens))).toEqual([[10, 1], [7, 3, 2], [9], [12], [5]]);
    expect(packed.flat().sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(rows);
    expect(packSequences([], 12)).toEqual([]);
  });

  test("gives a row that is longer than a sequence one of its own", () => {
    expect(packSequences(rows, 8).find((sequence) => sequence[0]!.id === "r0")).toEqual([rows[0]]);
  });
});

test("an item's weight is its response tokens, its name the rows'", () => {
  const task = sftTask([[row("a", 4, 3), row("b", 2, 5)], [row("c", 1, 1)]]);
  const [first, second] = task.items as [(typeof task.items)[number], (typeof task.items)[number]];
  expect([first, second].map(task.weightOf)).toEqual([8, 1]);
  expect([first, second].map(task.tokensOf)).toEqual([14, 2]);
  expect(task.nameOf(first)).toBe("a, b");
});

test.each(tinyFamilies)(
  "%s: packed rows don't see each other: loss and gradients are those of each alone",
  async (family) => {
    const { decoder } = await tinyModel(family);
    const { bundles } = tinyFigures(family);
    const rows: TrainingRow[] = bundles.flatMap(({ prompt, responses }, k) =>
      responses.slice(0, 2).map(({ ids }, r) => ({ id: `${k}/${r}`, prompt, responses: [ids] })),
    );
    for (const weight of decoder.parameters.values()) weight.requiresGrad = true;
    const run = (sequences: readonly (readonly TrainingRow[])[]) => {
      for (const weight of decoder.parameters.values()) weight.grad = null;
      const task = sftTask(sequences);
      const losses = task.items.map((item) =>
        scope(() => {
          const { loss } = task.compute(decoder, [item], 0, {});
          backward(loss);
          return loss.item() as number;
        }),
      );
      const gradients = new Map([...decoder.parameters].map(([name, weight]) => [name, toNumbers(weight.grad!)]));
      return { loss: losses.reduce((a, b) => a + b, 0), gradients };
    };
    const packed = run([rows]);
    const alone = run(rows.map((one) => [one]));
    const wanted = -bundles
      .flatMap(({ responses }) => responses.slice(0, 2).flatMap(({ logps }) => logps))
      .reduce((a, b) => a + b, 0);
    expect(packed.loss / wanted).toBeCloseTo(1, 6);
    expect(alone.loss / wanted).toBeCloseTo(1, 6);
    for (const [name, values] of alone.gradients) {
      const norm = Math.hypot(...values);
      const deviation = Math.hypot(...values.map((value, k) => value - packed.gradients.get(name)![k]!));
      expect(deviation / norm, name).toBeLessThan(1e-5);
    }
  },
);
