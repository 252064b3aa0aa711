import { afterAll, expect, test } from "vitest";
import { memoryWarning } from "./estimate.ts";
import { runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());

test("a run that may take more memory than is free is told so, by what takes most, with what makes it less", async () => {
  const { recipeFile } = world;
  const warned = (overrides: string[], free: number) =>
    withRun({ folder: runFolder(world, "memory"), recipeFile, overrides }, (run) => memoryWarning(run, free));
  expect(await warned([], 8e9)).toBeUndefined();
  expect(await warned([], 1e9)).toMatch(/^source \w+ may take 3\.0 GB of memory, and 1\.0 GB are free: .* bf16/);
  expect(await warned(["wrpo.micro_batch_tokens=4000000"], 8e9)).toMatch(
    /^training \(wrpo\) may take \d+\.\d GB of memory, and 8\.0 GB are free: .*Lower micro_batch_tokens/,
  );
});
