import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, LedgerError, type SampleOutcome, type ScoreRequest } from "../schema/index.ts";
import { type Ledger, responseKey } from "./index.ts";
import { engines } from "./testing/engines.ts";
import { answer, draw, prompt, sampling } from "./testing/rows.ts";
import { discard } from "./testing/scratch.ts";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe.each(engines)("a ledger in $name", ({ absent, start }) => {
  if (absent) return test.skip("PostgreSQL is not installed", () => {});
  const scratch = start();
  let ledger: Ledger;
  const missing = (stage: string, source: string) => collect(ledger.responses.missing(stage, source));
  beforeEach(async () => {
    ledger = await scratch();
  });
  afterEach(() => discard(ledger));

  describe("responses", () => {
    test("what is missing shrinks as responses arrive, and a second writing changes nothing", async () => {
      await ledger.prompts.replace([prompt("a"), prompt("b", "sft"), prompt("held-out", "evaluation")]);
      await ledger.responses.declare("sources", [draw("m1"), draw("m2")]);
      expect(await missing("sources", "m1")).toEqual([
        { promptId: "a", messages: prompt("a").messages, indices: [0, 1] },
        { promptId: "b", messages: prompt("b").messages, indices: [0, 1] },
      ]);

      expect(await ledger.responses.add("sources", "m1", [answer("a", 1), answer("b", 0), answer("b", 1)])).toBe(3);
      expect(await ledger.responses.add("sources", "m1", [answer("a", 1, "another text"), answer("a", 0)])).toBe(1);
      expect(await missing("sources", "m1")).toEqual([]);
      expect((await missing("sources", "m2")).length).toBe(2);

      const stored = await collect(ledger.responses.byStage("sources"));
      expect(stored.map((response) => response.text)).toEqual(["a/0", "a/1", "b/0", "b/1"]);
      expect(stored[1]).toEqual({
        ...answer("a", 1),
        key: responseKey(prompt("a").messages, "model-of-m1", sampling, 1),
        source: "m1",
      });
    });

    test("hostile texts come back as they were", async () => {
      const texts = ["", "a\0b", "half \ud800 pair", "emoji 🦊 漢字 \u2028", '"quoted" \\ \n\r\t', "x".repeat(200_000)];
      await ledger.prompts.replace([prompt("a")]);
      await ledger.responses.declare("sources", [draw("m1", { n: texts.length })]);
      await ledger.responses.add(
        "sources",
        "m1",
        texts.map((text, index) => answer("a", index, text)),
      );
      const stored = await collect(ledger.responses.byStage("sources"));
      expect(stored.map((response) => response.text)).toEqual(texts);
      const found = await ledger.responses.texts(stored);
      expect(stored.map((response) => found.get(response.key))).toEqual(texts);
    });

    test("thoughts and log-probs stay with their response", async () => {
      const extras = { reasoning: 'first "this" \ud800\0', logprobs: [{ token: "a", logprob: -0.25 }] };
      await ledger.prompts.replace([prompt("a")]);
      await ledger.responses.declare("sources", [draw("m1")]);
      await ledger.responses.add("sources", "m1", [{ ...answer("a", 0), extras }, answer("a", 1)]);
      const [thought, plain] = await collect(ledger.responses.byStage("sources"));
      expect(thought).toMatchObject({ text: "a/0", extras });
      expect(plain).not.toHaveProperty("extras");
    });

    test("other sampling, another model or other messages make other responses; going back finds the old ones", async () => {
      await ledger.prompts.replace([prompt("a")]);
      await ledger.responses.declare("sources", [draw("m1")]);
      await ledger.responses.add("sources", "m1", [answer("a", 0), answer("a", 1)]);
      const lacking = () => ledger.responses.lacking("sources", "m1");

      await ledger.responses.declare("sources", [draw("m1", { sampling: { ...sampling, temperature: 1 } })]);
      expect(await lacking()).toBe(2);
      expect(await collect(ledger.responses.byStage("sources"))).toEqual([]);
      await ledger.responses.declare("sources", [draw("m1", { identity: "retrained" })]);
      expect(await lacking()).toBe(2);
      await ledger.responses.declare("sources", [draw("m1", { n: 3 })]);
      expect(await lacking()).toBe(1);

      await ledger.prompts.replace([{ ...prompt("a"), messages: [{ role: "user", content: "changed" }] }]);
      expect(await lacking()).toBe(3);
      await ledger.prompts.replace([{ ...prompt("a"), id: "renamed" }]);
      expect(await lacking()).toBe(1);
      expect((await collect(ledger.responses.byStage("sources")))[0]!.promptId).toBe("renamed");
    });

    test("a failure is named until its response arrives, and the latest one counts", async () => {
      await ledger.prompts.replace([prompt("a")]);
      await ledger.responses.declare("sources", [draw("m1")]);
      await ledger.responses.add("sources", "m1", [{ promptId: "a", index: 0, failure: "429" }, answer("a", 1)]);
      await ledger.responses.add("sources", "m1", [
        { promptId: "a", index: 0, failure: "500\0" },
        { promptId: "a", index: 1, failure: "too late" },
      ]);
      expect(await ledger.responses.failures("sources")).toEqual([
        { source: "m1", promptId: "a", index: 0, failure: "500\0" },
      ]);
      expect((await missing("sources", "m1"))[0]!.indices).toEqual([0]);
      expect(await ledger.drawStatus()).toEqual([
        { stage: "sources", source: "m1", total: 2, done: 1, unfinished: 0, failed: 1 },
      ]);
      await ledger.responses.add("sources", "m1", [{ ...answer("a", 0), finish: "length" } as SampleOutcome]);
      expect(await ledger.responses.failures("sources")).toEqual([]);
      expect(await ledger.drawStatus()).toEqual([
        { stage: "sources", source: "m1", total: 2, done: 2, unfinished: 1, failed: 0 },
      ]);
    });

    test("the same model under two names and in two stages is drawn once and counts for each", async () => {
      await ledger.prompts.replace([prompt("a")]);
      const same = { identity: "one model" };
      await ledger.responses.declare("sources", [draw("m1", same), draw("m2", same)]);
      await ledger.responses.declare("again", [draw("m3", same)]);
      await ledger.responses.add("sources", "m1", [answer("a", 0), answer("a", 1)]);
      expect(await missing("sources", "m2")).toEqual([]);
      expect(await missing("again", "m3")).toEqual([]);
      const stored = await collect(ledger.responses.byStage("sources"));
      expect(stored.map((response) => response.source)).toEqual(["m1", "m1", "m2", "m2"]);
      expect((await collect(ledger.scores.unscored("sources", "r"))).length).toBe(2);
    });

    test("thousands of prompts come page by page in their order", async () => {
      const prompts = Array.from({ length: 1200 }, (_, i) => prompt(`p${(i * 7919) % 1200}`, i % 3 ? "wrpo" : "sft"));
      await ledger.prompts.replace(prompts);
      await ledger.responses.declare("sources", [draw("m1", { n: 1 })]);
      await ledger.responses.add(
        "sources",
        "m1",
        prompts.map(({ id }) => answer(id, 0)),
      );
      const stored = await collect(ledger.responses.byStage("sources"));
      expect(stored.map((response) => response.promptId)).toEqual(prompts.map(({ id }) => id));
      expect((await ledger.prompts.list(["sft"])).length).toBe(400);
    });

    test("the same id or the same messages twice is refused, and the prompts stay as they were", async () => {
      await ledger.prompts.replace([prompt("a")]);
      await expect(ledger.prompts.replace([prompt("b"), prompt("b")])).rejects.toThrow(DataError);
      await expect(ledger.prompts.replace([prompt("b"), { ...prompt("b"), id: "c" }])).rejects.toThrow(/"b" and "c"/);
      await expect(ledger.prompts.replace([prompt("nul\0")])).rejects.toThrow(LedgerError);
      expect((await ledger.prompts.list()).map(({ id }) => id)).toEqual(["a"]);
    });
  });

  describe("scores", () => {
    beforeEach(async () => {
      await ledger.prompts.replace([prompt("a"), prompt("b")]);
      await ledger.responses.declare("sources", [draw("m1", { n: 1 }), draw("m2", { n: 1 })]);
      await ledger.responses.add("sources", "m1", [answer("a", 0), answer("b", 0)]);
      await ledger.responses.add("sources", "m2", [answer("a", 0, "of m2")]);
    });

    const parts = [{ name: "length", value: 1, weight: 1 }];
    const scoreAll = async (reward: string) => {
      const requests = await collect(ledger.scores.unscored("sources", reward));
      return await ledger.scores.add(
        reward,
        requests.map(({ responseKey, prompt: { id }, text }) => ({
          promptId: id,
          responseKey,
          reward,
          value: text.length / 3,
          parts,
        })),
      );
    };

    test("each reward scores each response once; scores stand beside their responses", async () => {
      expect(await scoreAll("r1")).toBe(3);
      expect(await scoreAll("r1")).toBe(0);
      expect(await scoreAll("r2")).toBe(3);
      const scored = await collect(ledger.scores.byPrompt("sources", "r1"));
      expect(scored.map(({ prompt: { id }, responses }) => [id, responses.map((r) => [r.source, r.value])])).toEqual([
        [
          "a",
          [
            ["m1", 1],
            ["m2", 5 / 3],
          ],
        ],
        ["b", [["m1", 1]]],
      ]);
      expect(scored[0]!.responses[0]!.parts).toEqual(parts);
      expect(await ledger.scoreStatus()).toEqual([
        { stage: "sources", reward: "r1", total: 3, done: 3, failed: 0 },
        { stage: "sources", reward: "r2", total: 3, done: 3, failed: 0 },
      ]);
    });

    test("other checks of a prompt make its responses unscored again; the old checks bring the old scores back", async () => {
      await scoreAll("r1");
      const checked = { ...prompt("a"), checks: [{ id: "length", args: { max: 10 } }] };
      await ledger.prompts.replace([checked, prompt("b")]);
      const unscored = await collect(ledger.scores.unscored("sources", "r1"));
      expect(unscored.map((request) => request.prompt)).toEqual([
        { id: "a", messages: checked.messages, checks: checked.checks },
        { id: "a", messages: checked.messages, checks: checked.checks },
      ]);
      await ledger.prompts.replace([prompt("a"), prompt("b")]);
      expect(await collect(ledger.scores.unscored("sources", "r1"))).toEqual([]);
    });

    test("a failed score is named until it succeeds; NaN is refused and nothing of its batch stays", async () => {
      const [first, second] = await collect(ledger.scores.unscored("sources", "r1"));
      await ledger.scores.add("r1", [
        { promptId: first!.prompt.id, responseKey: first!.responseKey, failure: "judge said nothing" },
      ]);
      expect(await ledger.scores.failures("sources", "r1")).toEqual([
        { responseKey: first!.responseKey, failure: "judge said nothing" },
      ]);
      const score = ({ responseKey, prompt: { id } }: ScoreRequest, value: number) => {
        return { promptId: id, responseKey, reward: "r1", value, parts: [] };
      };
      await expect(ledger.scores.add("r1", [score(second!, 1), score(first!, Number.NaN)])).rejects.toThrow(
        LedgerError,
      );
      expect((await collect(ledger.scores.unscored("sources", "r1"))).length).toBe(3);
      await ledger.scores.add("r1", [score(first!, -0.25)]);
      expect(await ledger.scores.failures("sources", "r1")).toEqual([]);
      await expect(ledger.scores.add("r1", [score({ ...first!, responseKey: "unknown" }, 1)])).rejects.toThrow(
        /unknown/,
      );
      await expect(
        ledger.scores.add("r1", [score({ ...first!, prompt: { ...first!.prompt, id: "b" } }, 1)]),
      ).rejects.toThrow(/has no response/);
    });
  });

  test("selections are replaced split by split and follow a prompt that changes its split", async () => {
    await ledger.prompts.replace([prompt("a", "sft"), prompt("b"), prompt("c")]);
    await ledger.selections.replace("sft", [{ promptId: "a", sourceChosen: "k1" }]);
    const chosen = {
      promptId: "b",
      sourceChosen: "k2",
      targetChosen: "k3",
      rejected: "k4",
      sourceRejected: "k5",
      furtherSources: ["k6", "k7"],
    };
    await ledger.selections.replace("wrpo", [{ promptId: "c", leftOut: "rewards-equal" }, chosen]);
    expect(await ledger.selections.list("wrpo")).toEqual([chosen, { promptId: "c", leftOut: "rewards-equal" }]);
    await ledger.selections.replace("sft", [{ promptId: "b", sourceChosen: "k2" }]);
    expect(await ledger.selections.list("sft")).toEqual([{ promptId: "b", sourceChosen: "k2" }]);
    expect(await ledger.selections.list("wrpo")).toEqual([{ promptId: "c", leftOut: "rewards-equal" }]);
  });

  test("reference log-probabilities belong to model, template, prompt and response together", async () => {
    const key = { model: "m", template: "t", promptTokens: "p", response: "y" };
    const keys = [key, { ...key, model: "m2" }, { ...key, response: "z" }, { ...key, template: "t2" }];
    await ledger.referenceLogps.add([
      { ...key, logp: -12.0625, tokens: 7 },
      { ...key, model: "m2", logp: -1e-7, tokens: 1 },
    ]);
    await ledger.referenceLogps.add([{ ...key, logp: -99, tokens: 7 }]);
    expect(await ledger.referenceLogps.get(keys)).toEqual([
      { logp: -12.0625, tokens: 7 },
      { logp: -1e-7, tokens: 1 },
      undefined,
      undefined,
    ]);
  });

  test("judgements and evaluations are found by their content, meta by name", async () => {
    await ledger.judgements.add("judge", [{ key: "k1", value: { winner: "a" } }]);
    await ledger.judgements.add("judge", [
      { key: "k1", value: { winner: "b" } },
      { key: "k2", value: null },
    ]);
    expect(await ledger.judgements.get(["k1", "k2", "k3"])).toEqual(
      new Map<string, unknown>([
        ["k1", { winner: "a" }],
        ["k2", null],
      ]),
    );
    await ledger.evaluations.set("wrpo", "inputs", { mean: 0.5 });
    expect(await ledger.evaluations.get("wrpo", "inputs")).toEqual({ mean: 0.5 });
    expect(await ledger.evaluations.get("wrpo", "other inputs")).toBeUndefined();
    expect((await ledger.evaluations.list()).map(({ name }) => name)).toEqual(["wrpo"]);
    await ledger.meta.set("recipe", "d1");
    await ledger.meta.set("recipe", "d2");
    expect(await ledger.meta.get("recipe")).toBe("d2");
    expect(await ledger.meta.get("nothing")).toBeUndefined();
  });
});
