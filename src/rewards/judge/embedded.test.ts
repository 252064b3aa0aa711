import { readFileSync } from "node:fs";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ModelFiles, readModelFiles } from "../../models/index.ts";
import { testModel } from "../../models/testing/test-model.ts";
import { type ModelRecipe, messageSchema, modelSchema, RecipeError, type ScoreRequest } from "../../schema/index.ts";
import { liveTensors } from "../../torch/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { embeddedReader } from "./embedded.ts";
import { type JudgeSettings, judgeComponent } from "./judge.ts";
import { ratingTokens } from "./rating-tokens.ts";

// Written by bench/fixtures/judge_truth.py with transformers.
const { cases } = z
  .object({
    cases: z.array(
      z.object({
        rubric: z.string(),
        scale: z.tuple([z.number(), z.number()]),
        messages: z.array(messageSchema),
        text: z.string(),
        tokens: z.number(),
        ratings: z.array(z.number()),
        mass: z.number(),
        expected: z.number(),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("../fixtures/judge.json", import.meta.url), "utf8")));
type Case = (typeof cases)[number];

const never = new AbortController().signal;
const recipe: ModelRecipe = modelSchema.parse({ model: "smollm2", precision: "fp32" });
const requestOf = ({ messages, text }: Pick<Case, "messages" | "text">, index: number): ScoreRequest => ({
  responseKey: `r${index}`,
  prompt: { id: JSON.stringify(messages), messages, checks: [] },
  text,
});
const collect = async (outcomes: AsyncIterable<ComponentOutcome>): Promise<ComponentOutcome[]> => {
  const all: ComponentOutcome[] = [];
  for await (const outcome of outcomes) all.push(outcome);
  return all.sort((a, b) => a.index - b.index);
};
const figures = (outcome: ComponentOutcome | undefined): { value: number; mass: number } => {
  if (outcome === undefined || !("parts" in outcome)) throw new Error(JSON.stringify(outcome));
  const [value, mass] = outcome.parts;
  return { value: value!.value, mass: mass!.value };
};

describe("a model on this machine", () => {
  let files: ModelFiles;
  const opened: RewardComponent[] = [];
  const judge = async (settings: Partial<JudgeSettings>, of = files, budget?: number) => {
    const given: JudgeSettings = { name: "quality", scale: [1, 5], answer: "probabilities", ...settings };
    const made = await judgeComponent(given, "rewards.0", async () =>
      embeddedReader(of, recipe, given.scale, "rewards.0", budget),
    );
    opened.push(made);
    return made;
  };
  beforeAll(async () => {
    files = await readModelFiles(await testModel("smollm2"), "SmolLM2");
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  test.each([[[1, 5]], [[0, 10]]] as const)(
    "expected rating and mass on the scale %j are those that transformers gives",
    async (scale) => {
      const mine = cases.filter((one) => one.scale.join() === scale.join());
      expect(mine).toHaveLength(10);
      const component = await judge({ scale, rubric: mine[0]!.rubric });
      const outcomes = await collect(component.rate(mine.map(requestOf), never));
      for (const [index, one] of mine.entries()) {
        const { value, mass } = figures(outcomes[index]);
        expect(value * (scale[1] - scale[0]) + scale[0]).toBeCloseTo(one.expected, 3);
        expect(mass / one.mass).toBeCloseTo(1, 3);
      }
    },
  );

  test("each rating's probability is that of transformers, 1 and 10 told apart", async () => {
    const mine = cases.filter((one) => one.scale[1] === 10);
    const reader = embeddedReader(files, recipe, [0, 10], "rewards.0");
    const questions = mine.map(({ rubric, messages, text }) => {
      const shown =
        messages.length === 1
          ? messages[0]!.content
          : messages.map(({ role, content }) => `[${role}]\n${content}`).join("\n\n");
      const content = rubric.split("{response}\n\n")[1]!.split("{prompt}").join(shown);
      return { messages: [{ role: "user" as const, content: `${text}\n\n${content}` }], group: "all" };
    });
    for await (const outcome of reader.read(questions, never)) {
      if (!("probabilities" in outcome)) throw new Error(JSON.stringify(outcome));
      for (const [at, p] of outcome.probabilities.entries())
        expect(p / mine[outcome.index]!.ratings[at]!).toBeCloseTo(1, 2);
    }
    await reader.close();
  });

  test("a response's rating does not depend on the company it is judged in", async () => {
    const mine = cases.slice(0, 5).map(requestOf);
    const component = await judge({});
    const together = await collect(component.rate(mine, never));
    expect(together).toHaveLength(5);
    for (const [index, request] of mine.entries()) {
      const [alone] = await collect(component.rate([request], never));
      expect(figures(alone).value).toBeCloseTo(figures(together[index]).value, 5);
      expect(figures(alone).mass).toBeCloseTo(figures(together[index]).mass, 5);
    }
  });

  test("too long for the context: a failure with the counts, and the others are judged", async () => {
    const component = await judge({}, { ...files, decoderConfig: { ...files.decoderConfig, maxPositions: 300 } });
    const messages = cases[0]!.messages;
    const requests = [
      { messages, text: "moon ".repeat(300) },
      { messages, text: "Jupiter." },
    ].map(requestOf);
    const [long, short] = await collect(component.rate(requests, never));
    expect(long).toMatchObject({
      failure: expect.stringMatching(
        /^the judge's prompt has \d{3} tokens and the answer's beginning 1, the context of SmolLM2 300$/,
      ) as string,
    });
    expect(figures(short).value).toBeGreaterThan(0);
  });

  test("a judge that does not rate is a failure that names the share, never a default", async () => {
    const component = await judge({ rubric: "Repeat this word for word: {response}{prompt}" });
    const [outcome] = await collect(
      component.rate([requestOf({ messages: [{ role: "user", content: "." }], text: "Once upon a time" }, 0)], never),
    );
    expect(outcome).toMatchObject({
      failure: expect.stringMatching(/^only [\d.e-]+ % of the judge's probability/) as string,
    });
  });

  test("half a surrogate pair is a failure of that response alone", async () => {
    const component = await judge({});
    const messages = cases[0]!.messages;
    const outcomes = await collect(
      component.rate(
        [
          { messages, text: "\ud800" },
          { messages, text: "Jupiter." },
        ].map(requestOf),
        never,
      ),
    );
    expect(outcomes.map((outcome) => "failure" in outcome)).toEqual([true, false]);
  });

  test("an abort ends the rating between micro-batches, quietly", async () => {
    const component = await judge({}, files, 16);
    const stop = new AbortController();
    const seen: ComponentOutcome[] = [];
    for await (const outcome of component.rate(cases.slice(0, 3).map(requestOf), stop.signal)) {
      seen.push(outcome);
      stop.abort();
    }
    expect(seen).toHaveLength(1);
  });

  test("no tensor is left behind but the weights, and those go when it closes", async () => {
    const before = liveTensors();
    const component = await judge({});
    expect(liveTensors()).toBe(before);
    const requests = cases.slice(0, 3).map(requestOf);
    await collect(component.rate(requests, never));
    const loaded = liveTensors();
    expect(loaded).toBeGreaterThan(before);
    await collect(component.rate(requests, never));
    expect(liveTensors()).toBe(loaded);
    await component.close();
    expect(liveTensors()).toBe(before);
  });

  test("the identity follows the rubric, the scale, the model and its template, not the name", async () => {
    const identity = async (settings: Partial<JudgeSettings>, of = files) => (await judge(settings, of)).identity;
    const base = await identity({});
    expect(await identity({ name: "other" })).toBe(base);
    const others = [
      await identity({ scale: [1, 4] }),
      await identity({ rubric: "{prompt} {response}" }),
      await identity({}, { ...files, digest: "0" }),
      await identity({}, await readModelFiles(files.path, "SmolLM2", "{{ messages[0].content }}\n")),
    ];
    expect(new Set([base, ...others]).size).toBe(5);
  });

  test("what can't work is refused before any weight is read", async () => {
    const refused = async (settings: Partial<JudgeSettings>) => {
      const error: unknown = await judge(settings).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RecipeError);
      return error as RecipeError;
    };
    const rubric = await refused({ rubric: "Rate {response}" });
    expect([rubric.message, rubric.place.field]).toEqual(["the rubric lacks {prompt}", "rewards.0.rubric"]);
    const scale = await refused({ scale: [5, 1] });
    expect([scale.message, scale.place.field]).toEqual(["the scale goes from 5 to 1", "rewards.0.scale"]);
  });

  test("ratings are read with and without a space, 10 as two tokens", () => {
    const { chains, edges } = ratingTokens(files.tokenizer, [0, 10], "SmolLM2", "rewards.0.scale");
    const id = (text: string) => files.tokenizer.tokenId(text)!;
    expect(new Set(chains.map((chain) => chain.join()))).toEqual(new Set([`${id("1")}`, `${id("Ġ")},${id("1")}`]));
    // Ten digits and a space; a zero after the 1; the same after the space.
    expect(edges).toHaveLength(10 + 1 + 1 + 10 + 1);
  });
});
