import { describe, expect, test } from "vitest";
import { readModelFiles } from "../../models/index.ts";
import { testModel } from "../../models/testing/test-model.ts";
import { contentKey, endpointSchema, RecipeError, recipeSchema, type ScoreRequest } from "../../schema/index.ts";
import { completion, sendJson } from "../../sources/testing/local-server.ts";
import { serving } from "../../sources/testing/serving.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { embeddedReader } from "./embedded.ts";
import { type JudgeRecipe, openJudge } from "./index.ts";
import { compileComparison, defaultComparison } from "./rubric.ts";

const never = new AbortController().signal;
const { serve, closing } = serving();
const noFiles = () => Promise.reject(new Error("none"));

const messages = [{ role: "user" as const, content: "Which?" }];
const requestsOf = (texts: readonly string[]): ScoreRequest[] => {
  const rivals = texts.map((text, k) => ({ key: contentKey([k]), text }));
  return rivals.map(({ key, text }) => ({
    responseKey: key,
    prompt: { id: "p", messages, checks: [] },
    text,
    rivals,
  }));
};
async function rate(component: RewardComponent, requests: readonly ScoreRequest[]): Promise<ComponentOutcome[]> {
  const all: ComponentOutcome[] = [];
  for await (const outcome of component.rate(requests, never)) all[outcome.index] = outcome;
  return all;
}
const partsOf = (outcome: ComponentOutcome | undefined): number[] => {
  if (outcome === undefined || !("parts" in outcome)) throw new Error(JSON.stringify(outcome));
  return outcome.parts.map(({ value }) => value);
};
const valuesOf = (outcomes: readonly ComponentOutcome[]) => outcomes.map((outcome) => partsOf(outcome)[0]!);

function recipeOf(fields: Readonly<Record<string, unknown>>): JudgeRecipe {
  return recipeSchema.shape.rewards.parse([{ kind: "judge", name: "j", ...fields }])[0] as JudgeRecipe;
}

/** How good the judge of the server below finds an answer, and what it has for the first place: logits. */
const strengths: Readonly<Record<string, number>> = { alpha: 1.1, beta: -0.4, gamma: 0.3, delta: -1.7, epsilon: 0.8 };
const texts = Object.keys(strengths);
const bias = 0.9;

const answersIn = (content: string): string[] =>
  [...content.matchAll(/<answer \d>\n(.*?)\n<\/answer \d>/gs)].map(([, text]) => text!);
const softmax = (logits: readonly number[]): number[] => {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
};
/** The probabilities of the places, as that judge has them. */
const placesOf = (shown: readonly string[]) =>
  softmax(shown.map((text, at) => strengths[text]! + (at === 0 ? bias : 0)));

/** A server that judges so; `mass` of its probability is on the numbers. */
async function biased(fields: Readonly<Record<string, unknown>>, mass = 0.8, notices: string[] = []) {
  const server = await serve(({ body }, answer) => {
    const shown = answersIn(body.messages[0]!.content);
    if (shown.includes("prose")) return sendJson(answer, 200, completion([reply([["Well", 0.9]])]));
    const top = placesOf(shown).map((p, at) => [`${at + 1}`, p * mass] as const);
    sendJson(answer, 200, completion([reply([...top].sort((a, b) => b[1] - a[1]))]));
  });
  const endpoint = endpointSchema.parse({ url: server.url, model: "m", retries: 1 });
  const component = await openJudge(
    recipeOf({ endpoint, ...fields }),
    {
      modelFiles: noFiles,
      rewardModelFiles: noFiles,
      endpoint: { retryDelayMs: 1, notice: (line) => void notices.push(line) },
    },
    "rewards.0",
  );
  return { server, component: closing(component) };
}
const reply = (top: readonly (readonly [string, number])[]) => {
  const list = top.map(([token, p]) => ({ token, logprob: Math.log(p), bytes: null }));
  return { content: top[0]![0], logprobs: { content: [{ ...list[0]!, top_logprobs: list }], refusal: null } };
};

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("pairs", () => {
  test("the value is the mean over rivals of both orders, so that a bias for the first place plays no part", async () => {
    const notices: string[] = [];
    const { server, component } = await biased({ compare: "pairs" }, 0.8, notices);
    const outcomes = await rate(component, requestsOf(texts));
    const sigma = (x: number) => 1 / (1 + Math.exp(-x));
    for (const [index, text] of texts.entries()) {
      const others = texts.filter((other) => other !== text);
      const won = others.flatMap((other) => {
        const better = strengths[text]! - strengths[other]!;
        return [sigma(better + bias), sigma(better - bias)];
      });
      expect(partsOf(outcomes[index])[0]).toBeCloseTo(mean(won), 9);
      expect(partsOf(outcomes[index])[2]).toBeCloseTo(0.8, 9);
    }
    // Each pair is asked twice, once in each order, whoever asks.
    expect(server.calls).toHaveLength(texts.length * (texts.length - 1));
    // What one wins the other loses.
    expect(mean(valuesOf(outcomes))).toBeCloseTo(0.5, 12);
    const inOrder = [...texts].sort((a, b) => strengths[b]! - strengths[a]!);
    const byValue = [...texts].sort(
      (a, b) => valuesOf(outcomes)[texts.indexOf(b)]! - valuesOf(outcomes)[texts.indexOf(a)]!,
    );
    expect(byValue).toEqual(inOrder);
    await component.close();
    const first = mean(texts.flatMap((a) => texts.flatMap((b) => (a === b ? [] : [placesOf([a, b])[0]!]))));
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain(
      `the first place has ${Number((100 * first).toPrecision(2))} % of the probability, 50 %`,
    );
    const pairs = texts.flatMap((a, k) => texts.slice(k + 1).map((b) => [a, b] as const));
    const agreeing = pairs.filter(([a, b]) => placesOf([a, b])[0]! > 0.5 !== placesOf([b, a])[0]! > 0.5).length;
    expect(notices[0]).toContain(
      `both orders of a pair name the same one in ${Number(((100 * agreeing) / pairs.length).toPrecision(2))} % of ${pairs.length}`,
    );
  });

  test("neither the company nor the order in which responses are scored matters", async () => {
    const { component } = await biased({ compare: "pairs" });
    const requests = requestsOf(texts);
    const together = valuesOf(await rate(component, requests));
    const reversed = valuesOf(await rate(component, requests.toReversed())).toReversed();
    const alone: number[] = [];
    for (const request of requests) alone.push(...valuesOf(await rate(component, [request])));
    for (const other of [reversed, alone])
      for (const [index, value] of other.entries()) expect(value).toBeCloseTo(together[index]!, 12);
  });

  test("with fewer opponents each response still meets so many, the same ones every time", async () => {
    const { server, component } = await biased({ compare: "pairs", opponents: 2 });
    const [request] = requestsOf(texts);
    const first = valuesOf(await rate(component, [request!]));
    expect(server.calls).toHaveLength(4);
    expect(valuesOf(await rate(component, [{ ...request!, rivals: request!.rivals!.toReversed() }]))).toEqual(first);
  });

  test("a comparison that fails leaves those without a score that it is of, and no others", async () => {
    const { component } = await biased({ compare: "pairs", opponents: 1 });
    const requests = requestsOf(["alpha", "prose", "beta"]);
    const given = requests.map((request, k) => ({
      ...request,
      rivals: request.rivals!.filter((_, other) => other !== k && (k === 1 || other !== 1)),
    }));
    const outcomes = await rate(component, given);
    expect(outcomes.map((outcome) => "failure" in outcome)).toEqual([false, true, false]);
    expect(outcomes[1]).toMatchObject({ failure: expect.stringContaining("none of the ratings") as string });
  });

  test("without a rival of another text a response has 1/2, and nobody is asked", async () => {
    const { server, component } = await biased({ compare: "pairs" });
    expect(valuesOf(await rate(component, requestsOf(["alpha", "alpha"])))).toEqual([0.5, 0.5]);
    expect(valuesOf(await rate(component, requestsOf(["beta"])))).toEqual([0.5]);
    expect(server.calls).toHaveLength(0);
  });
});

describe("lists", () => {
  test("each answer stands once in each place; the value is what the shares say of each rival", async () => {
    const { server, component } = await biased({ compare: "list" });
    const requests = requestsOf(texts);
    const outcomes = await rate(component, requests);
    expect(server.calls).toHaveLength(texts.length);
    const order = requests.toSorted((a, b) => (a.responseKey < b.responseKey ? -1 : 1)).map(({ text }) => text);
    const rotations = order.map((_, shift) => [...order.slice(shift), ...order.slice(0, shift)]);
    for (const [index, text] of texts.entries()) {
      const won = rotations.map((shown) => {
        const shares = placesOf(shown);
        const own = shares[shown.indexOf(text)]!;
        return mean(shown.flatMap((other, at) => (other === text ? [] : [own / (own + shares[at]!)])));
      });
      expect(partsOf(outcomes[index])[0]).toBeCloseTo(mean(won), 9);
    }
    expect(mean(valuesOf(outcomes))).toBeCloseTo(0.5, 12);
  });

  test("a list has at most nine answers", async () => {
    await expect(biased({ compare: "list", opponents: 9 })).rejects.toThrow(RecipeError);
  });
});

test("a written answer names the best one, which beats all others", async () => {
  const server = await serve(({ body }, answer) => {
    const shown = answersIn(body.messages[0]!.content);
    const best = shown.indexOf([...shown].sort((a, b) => strengths[b]! - strengths[a]!)[0]!);
    sendJson(answer, 200, completion([JSON.stringify({ rating: best + 1 })]));
  });
  const endpoint = endpointSchema.parse({ url: server.url, model: "m" });
  const context = { modelFiles: noFiles, rewardModelFiles: noFiles };
  const component = closing(
    await openJudge(recipeOf({ endpoint, compare: "pairs", answer: "rating" }), context, "rewards.0"),
  );
  const ranks = [...texts].sort((a, b) => strengths[a]! - strengths[b]!);
  const wanted = texts.map((text) => ranks.indexOf(text) / (texts.length - 1));
  expect(valuesOf(await rate(component, requestsOf(texts)))).toEqual(wanted);
});

test("a model on this machine: the probabilities of both orders, read one by one", async () => {
  const files = await readModelFiles(await testModel("smollm2"), "SmolLM2");
  const recipe = recipeOf({ model: "smollm2", precision: "fp32", device: "cpu", compare: "pairs" });
  const context = { modelFiles: async () => files, rewardModelFiles: noFiles };
  const component = closing(await openJudge(recipe, context, "rewards.0"));
  const requests = requestsOf(["It is 7.", "Nobody knows, says the sea.", "12 and 3"]);
  const outcomes = await rate(component, requests);
  const reader = closing(embeddedReader(files, { precision: "fp32", device: "cpu" }, [1, 2], "rewards.0"));
  const question = compileComparison(defaultComparison("probabilities"), "rubric");
  const share = async (first: string, second: string) => {
    for await (const said of reader.read([{ messages: question(messages, [first, second]), group: "g" }], never)) {
      if (!("probabilities" in said)) throw new Error(JSON.stringify(said));
      const [one, two] = said.probabilities as [number, number];
      return one / (one + two);
    }
    throw new Error("no answer");
  };
  for (const [index, { text }] of requests.entries()) {
    const won: number[] = [];
    for (const { text: other } of requests)
      if (other !== text) won.push(await share(text, other), 1 - (await share(other, text)));
    expect(partsOf(outcomes[index])[0]).toBeCloseTo(mean(won), 5);
  }
});

test("a rubric without its placeholders is told where it stands", () => {
  expect(() => compileComparison("{prompt} {response}", "rewards.2.rubric")).toThrow("the rubric lacks {responses}");
});
