import { describe, expect, test } from "vitest";
import { fromRecipe } from "../objectives/testing/evaluate.ts";
import { mismatchedPartners, withMismatched } from "./mismatched.ts";
import { shuffled } from "./order.ts";

const kto = fromRecipe({ objective: "kto" });
const row = (id: string, prompt: number[], ...lengths: number[]) => ({
  id,
  prompt,
  responses: lengths.map((length) => Array<number>(length).fill(7)),
});
const described = (prompt: string, promptLength: number, longest: number) => ({
  id: prompt,
  prompt,
  promptLength,
  longest,
});
const matching = { name: "kto", maxLength: 8, batches: [4] };

describe("mismatched responses", () => {
  test("are those of the nearest row before, in the batch, that has another prompt and fits", () => {
    const rows = [described("a", 2, 3), described("a", 2, 2), described("c", 2, 9), described("d", 3, 2)];
    // The row before the first is d; the second may not take the first, whose prompt it has; d may not take c, whose response is too long for it.
    expect(mismatchedPartners(rows, matching)).toEqual([3, 3, 1, 1]);
  });

  test("of other batches only where the own one has none", () => {
    const rows = ["a", "b", "c", "c", "e"].map((prompt) => described(prompt, 2, 2));
    expect(mismatchedPartners(rows, { ...matching, batches: [2, 2, 1] })).toEqual([1, 0, 1, 1, 3]);
  });

  test("of distinct prompts are the batch's own, rotated by one: as TRL's KTOTrainer makes them", () => {
    const rows = [...Array(10).keys()].map((k) => described(String(k), 2, 2));
    const partners = mismatchedPartners(rows, { ...matching, batches: [4, 4, 2] });
    expect(partners).toEqual([3, 0, 1, 2, 7, 4, 5, 6, 9, 8]);
  });

  test("are given to training rows in batches by the seed, and to the rows held out as one", () => {
    const training = [...Array(7).keys()].map((k) => row(`t${k}`, [k, 1], k + 1));
    const heldOut = [row("h0", [50], 1, 2), row("h1", [51], 3)];
    const got = withMismatched({ training, heldOut }, kto, { maxLength: 20, batchSize: 4, seed: 5 });
    const order = shuffled(7, 5, 0);
    expect(got.training.map(({ id }) => id)).toEqual(order.map((k) => `t${k}`));
    const lengths = order.map((k) => k + 1);
    expect(got.training.map(({ responses }) => responses.map((y) => y.length))).toEqual(
      lengths.map((own, k) => [own, k < 4 ? lengths[(k + 3) % 4]! : lengths[4 + ((k - 4 + 2) % 3)]!]),
    );
    expect(got.heldOut.map(({ roles }) => roles)).toEqual([
      ["target_chosen", "rejected", "mismatched"],
      ["target_chosen", "rejected", "mismatched", "mismatched"],
    ]);
    expect(got.heldOut[1]!.responses.map((y) => y.length)).toEqual([3, 1, 2]);
    const parts = { training, heldOut };
    const dpo = withMismatched(parts, fromRecipe({ objective: "dpo" }), { maxLength: 20, batchSize: 4, seed: 5 });
    expect(dpo).toEqual(parts);
  });

  test("that don't exist are an error with what to do", () => {
    const alike = [row("a", [1, 2], 3, 1), row("b", [1, 2], 2, 2)];
    expect(() =>
      withMismatched({ training: alike, heldOut: [] }, kto, { maxLength: 8, batchSize: 2, seed: 1 }),
    ).toThrow(/none fits the prompt of/);
  });
});
