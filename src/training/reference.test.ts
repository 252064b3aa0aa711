import { describe, expect, test } from "vitest";
import type { LoadedModel } from "../models/index.ts";
import { tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { canonicalJson } from "../schema/index.ts";
import { type ReferenceCache, type ReferenceKey, withReference } from "./reference.ts";
import type { TrainingRow } from "./rows.ts";

/** A cache in memory that tells what was added. */
function memoryCache(): ReferenceCache & { readonly added: (ReferenceKey & { logp: number; tokens: number })[] } {
  const held = new Map<string, number>();
  const added: (ReferenceKey & { logp: number; tokens: number })[] = [];
  const name = ({ model, template, promptTokens, response }: ReferenceKey) =>
    canonicalJson({ model, template, promptTokens, response });
  return {
    added,
    get: async (keys) =>
      keys.map((key) => {
        const logp = held.get(name(key));
        return logp === undefined ? undefined : { logp };
      }),
    add: async (rows) => {
      for (const row of rows) held.set(name(row), row.logp);
      added.push(...rows);
    },
  };
}

const { bundles } = tinyFigures("llama");
const rows: TrainingRow[] = bundles.map(({ prompt, responses }, k) => ({
  id: `row-${k}`,
  prompt,
  responses: responses.map(({ ids }) => ids),
}));
const wanted = bundles.map(({ responses }) => responses.map(({ logps }) => logps.reduce((a, b) => a + b, 0)));
const count = wanted.flat().length;
const options = () => ({
  microBatchTokens: 40,
  dtype: "float32" as const,
  signal: new AbortController().signal,
});

/** A model that can't compute: what asks it to, fails. */
const withoutWeights = (model: LoadedModel): LoadedModel => ({
  ...model,
  decoder: { ...model.decoder, parameters: new Map() },
});

function expectWanted(found: Awaited<ReturnType<typeof withReference>>): void {
  expect(found?.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  for (const [k, row] of found!.entries())
    for (const [r, logp] of row.reference.entries()) expect(Math.abs(logp - wanted[k]![r]!)).toBeLessThan(1e-3);
}

test("the reference's log-probs are those of transformers, computed once and kept", async () => {
  const model = await tinyModel("llama");
  const cache = memoryCache();
  const progress: [number, number][] = [];
  expectWanted(await withReference(model, rows, cache, { ...options(), progress: (...at) => progress.push(at) }));
  expect(cache.added).toHaveLength(count);
  expect(cache.added.map(({ tokens }) => tokens)).toEqual(
    rows.flatMap(({ responses }) => responses.map((y) => y.length)),
  );
  expect(progress.at(-1)).toEqual([3, 3]);

  expectWanted(await withReference(withoutWeights(model), rows, cache, options()));
  expect(cache.added).toHaveLength(count);
  // Other rows don't disturb those that are known; order does not matter.
  const more = [{ id: "new", prompt: [7, 8, 9], responses: [[10, 11]] }, ...rows];
  const found = await withReference(model, more, cache, options());
  expectWanted(found!.slice(1));
  expect(cache.added).toHaveLength(count + 1);
});

test("heads are kept as the log-probs of the shorter responses that they are", async () => {
  const model = await tinyModel("llama");
  const cache = memoryCache();
  const cut = bundles.map(({ responses }) => Math.min(...responses.map(({ ids }) => ids.length)));
  const want = bundles.map(({ responses }, k) =>
    responses.map(({ logps }) => logps.slice(0, cut[k]).reduce((a, b) => a + b, 0)),
  );
  await withReference(model, rows, cache, options());
  const found = await withReference(model, rows, cache, { ...options(), heads: true });
  expectWanted(found);
  for (const [k, { headReference }] of found!.entries())
    for (const [r, logp] of headReference!.entries()) expect(Math.abs(logp - want[k]![r]!)).toBeLessThan(1e-3);
  // Of each row the shortest response is its own head.
  const more = rows.flatMap(({ responses }, k) => responses.filter((y) => y.length > cut[k]!)).length;
  expect(cache.added).toHaveLength(count + more);
  expect(await withReference(withoutWeights(model), rows, cache, { ...options(), heads: true })).toEqual(found);
});

describe("is computed again for", () => {
  const recomputed = async (change: (model: LoadedModel) => LoadedModel, changedOptions = {}) => {
    const model = await tinyModel("llama");
    const cache = memoryCache();
    await withReference(model, rows, cache, options());
    await withReference(change(model), rows, cache, { ...options(), ...changedOptions });
    return cache.added.length - count;
  };

  test("another model, another template, another compute type", async () => {
    expect(await recomputed((model) => model)).toBe(0);
    expect(await recomputed((model) => ({ ...model, digest: "another" }))).toBe(count);
    const other = (model: LoadedModel) => ({ ...model.tokenizer, files: () => ({ "tokenizer.json": "{}" }) });
    expect(await recomputed((model) => ({ ...model, tokenizer: other(model) }))).toBe(count);
    expect(await recomputed((model) => model, { dtype: "bfloat16" })).toBe(count);
  });

  test("a changed prompt or response, and for that row only", async () => {
    const model = await tinyModel("llama");
    const cache = memoryCache();
    await withReference(model, rows, cache, options());
    const changed = rows.map((row, k) => (k === 1 ? { ...row, prompt: [...row.prompt, 9] } : row));
    await withReference(model, changed, cache, options());
    expect(cache.added).toHaveLength(count + rows[1]!.responses.length);
  });
});

test("an abort keeps what was computed; the next run computes the rest only", async () => {
  const model = await tinyModel("llama");
  const cache = memoryCache();
  const control = new AbortController();
  const aborted = await withReference(model, rows, cache, {
    ...options(),
    signal: control.signal,
    progress: () => control.abort(),
  });
  expect(aborted).toBeUndefined();
  const kept = cache.added.length;
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThan(count);
  expectWanted(await withReference(model, rows, cache, options()));
  expect(cache.added).toHaveLength(count);
});
