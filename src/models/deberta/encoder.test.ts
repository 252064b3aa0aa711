import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { toNumbers } from "../../torch/index.ts";
import { distanceBuckets } from "./encoder.ts";

/** How many distances of 0 to 2047 each bucket holds: by transformers, made by bench/fixtures/pairrm_truth.py. */
const { buckets: truth } = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../rewards/fixtures/pairrm.json", import.meta.url)), "utf8"),
) as { buckets: Readonly<Record<string, number[]>> };

test.each(Object.keys(truth))("distances fall into the buckets of the reference code: %s", (sizes) => {
  const [buckets, maxDistance] = sizes.split("/").map(Number) as [number, number];
  const wanted = truth[sizes]!.flatMap((count, bucket) => Array.from({ length: count }, () => bucket));
  expect(toNumbers(distanceBuckets(2048, { buckets, maxDistance }))).toEqual(wanted);
});

test("without buckets each distance is its own", () => {
  expect(toNumbers(distanceBuckets(4, { buckets: null, maxDistance: 2 }))).toEqual([0, 1, 2, 3]);
});
