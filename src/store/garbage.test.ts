import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Ledger } from "./index.ts";
import { engines } from "./testing/engines.ts";
import { answer, draw, prompt } from "./testing/rows.ts";
import { discard } from "./testing/scratch.ts";

describe.each(engines)("$name", ({ absent, start }) => {
  describe.skipIf(absent)("what nothing refers to", () => {
    const open = start();
    let ledger: Ledger;
    beforeEach(async () => {
      ledger = await open();
    });
    afterEach(() => discard(ledger));

    test("goes, and only that: other samplers, indices, prompts, rewards, models and evaluations", async () => {
      await ledger.prompts.replace([prompt("a"), prompt("b")]);
      await ledger.responses.declare("sources", [draw("one"), draw("two")]);
      for (const source of ["one", "two"])
        await ledger.responses.add(
          "sources",
          source,
          ["a", "b"].flatMap((id) => [answer(id, 0), answer(id, 1)]),
        );
      const keys: { promptId: string; responseKey: string }[] = [];
      for await (const { key: responseKey, promptId } of ledger.responses.byStage("sources"))
        keys.push({ promptId, responseKey });
      for (const reward of ["old", "new"])
        await ledger.scores.add(
          reward,
          keys.map((one) => ({ ...one, reward, value: 1, parts: [] })),
        );
      for (const model of ["old", "new"])
        await ledger.referenceLogps.add([
          { model, template: "t", promptTokens: "p", response: "r", logp: -1, tokens: 1 },
        ]);
      for (const inputs of ["old", "new"]) await ledger.evaluations.set("comparison", inputs, {});

      // The recipe goes without `two`, the second response and the prompt b.
      await ledger.prompts.replace([prompt("a")]);
      await ledger.responses.declare("sources", [draw("one", { n: 1 })]);
      const needed = { reward: "new", models: ["new"], evaluations: [{ name: "comparison", inputs: "new" }] };
      const would = await ledger.collect(needed, false);
      const removed = await ledger.collect(needed, true);
      expect(removed).toEqual(would);
      expect(Object.fromEntries(removed.map(({ table, rows }) => [table, rows]))).toMatchObject({
        ...{ scores: 15, responses: 7, samplers: 1, reference_logps: 1, evaluations: 1 },
      });
      expect(removed.every(({ bytes }) => bytes > 0)).toBe(true);
      await ledger.compact(removed.map(({ table }) => table));
      expect(await ledger.collect(needed, true)).toEqual([]);
      expect(await ledger.responses.lacking("sources", "one")).toBe(0);
      expect(await ledger.scores.lacking("sources", "new")).toBe(0);
      expect(await ledger.scores.lacking("sources", "old")).toBe(1);
    });
  });
});
