import { afterEach, describe, expect, test } from "vitest";
import {
  type CheckSpec,
  endpointSchema,
  RecipeError,
  type RewardModel,
  type RewardRecipe,
  type Score,
  type ScoreFailure,
  type ScoreRequest,
} from "../schema/index.ts";
import { completion, localServer, sendJson } from "../sources/testing/local-server.ts";
import { checksComponent } from "./checks-component.ts";
import type { RewardComponent } from "./component.ts";
import { composeRewards, openRewards } from "./index.ts";

const never = new AbortController().signal;
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

/** A further reward needs no more than this: shorter is better, and nothing can be said of an empty text. */
const brevity = (limit: number): RewardComponent & { closed: number } => ({
  name: "brevity",
  identity: `brevity ${limit}`,
  closed: 0,
  async *rate(requests) {
    for (const [index, { text }] of [...requests.entries()].reverse()) {
      if (text.length > limit) yield { index, failure: `${text.length} characters are too many` };
      else if (text === "") yield { index, parts: [] };
      else yield { index, parts: [{ name: "brevity", value: 1 - text.length / limit, weight: 1 }] };
    }
  },
  async close() {
    this.closed += 1;
  },
});

const threeChecks: CheckSpec[] = [
  { id: "punctuation:no_comma", args: {} },
  { id: "change_case:english_lowercase", args: {} },
  { id: "startend:quotation", args: {} },
];
const request = (text: string, checks: CheckSpec[] = threeChecks, responseKey = text): ScoreRequest => ({
  responseKey,
  prompt: { id: "p", messages: [{ role: "user", content: "Say it." }], checks },
  text,
});
const score = async (
  model: RewardModel,
  requests: ScoreRequest[],
  signal = never,
): Promise<(Score | ScoreFailure)[]> => {
  const all: (Score | ScoreFailure)[] = [];
  for await (const outcome of model.score(requests, signal)) all.push(outcome);
  return all;
};
const text = "the rain in spain stays mainly in the plain today";

describe("one reward of several", () => {
  test("the weighted mean, and parts whose weighted sum it is", async () => {
    const model = composeRewards([
      { component: checksComponent(), weight: 3 },
      { component: brevity(100), weight: 1 },
    ]);
    const [one] = (await score(model, [request(text)])) as [Score];
    const brief = 1 - text.length / 100;
    expect(one.reward).toBe(model.identity);
    expect(one.responseKey).toBe(text);
    expect(one.value).toBeCloseTo((3 * (2 / 3) + 1 * brief) / 4, 12);
    expect(one.parts.reduce((sum, { value, weight }) => sum + value * weight, 0)).toBe(one.value);
    expect([...one.parts].sort((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: "brevity", value: brief, weight: 0.25 },
      { name: "change_case:english_lowercase", value: 1, weight: 0.25 },
      { name: "punctuation:no_comma", value: 1, weight: 0.25 },
      { name: "startend:quotation", value: 0, weight: 0.25 },
    ]);
  });

  test("a component with nothing to say leaves its weight to the others", async () => {
    const model = composeRewards([
      { component: checksComponent(), weight: 3 },
      { component: brevity(100), weight: 1 },
    ]);
    const [noChecks] = (await score(model, [request(text, [])])) as [Score];
    expect(noChecks.value).toBe(1 - text.length / 100);
    expect(noChecks.parts).toEqual([{ name: "brevity", value: noChecks.value, weight: 1 }]);
    const [empty] = (await score(model, [request("")])) as [Score];
    expect(empty.parts.map(({ weight }) => weight)).toEqual([1 / 3, 1 / 3, 1 / 3]);
  });

  test("where none has anything to say, it is a failure", async () => {
    const model = composeRewards([{ component: checksComponent(), weight: 1 }]);
    expect(await score(model, [request(text, [])])).toEqual([
      {
        responseKey: text,
        failure:
          "checks can't score this: the prompt has no checks, tests or reference for it, and no other reward speaks",
      },
    ]);
  });

  test("one failing component fails the response, by name, and only this response", async () => {
    const model = composeRewards([
      { component: brevity(10), weight: 1 },
      { component: checksComponent(), weight: 1 },
    ]);
    const outcomes = await score(model, [
      request(text),
      request("short"),
      request("odd", [{ id: "no:such", args: {} }]),
    ]);
    const byKey = new Map(outcomes.map((outcome) => [outcome.responseKey, outcome]));
    expect(byKey.get(text)).toEqual({ responseKey: text, failure: `brevity: ${text.length} characters are too many` });
    expect(byKey.get("short")).toHaveProperty("value");
    expect(byKey.get("odd")).toEqual({ responseKey: "odd", failure: `checks: there is no check "no:such"` });
  });

  test("many responses in windows: one outcome each, also where two share a key", async () => {
    const model = composeRewards([
      { component: brevity(5000), weight: 1 },
      { component: checksComponent(), weight: 1 },
    ]);
    const requests = Array.from({ length: 1300 }, (_, i) => request("x".repeat(i + 1), threeChecks, `r${i >> 1}`));
    const outcomes = (await score(model, requests)) as Score[];
    expect(outcomes).toHaveLength(1300);
    const brief = outcomes.map(({ parts }) => parts.find(({ name }) => name === "brevity")!.value);
    expect(new Set(brief).size).toBe(1300);
    expect(
      outcomes.every(({ responseKey, parts }) => {
        const length = Math.round((1 - parts.find(({ name }) => name === "brevity")!.value) * 5000);
        return responseKey === `r${(length - 1) >> 1}`;
      }),
    ).toBe(true);
  });

  test("a component that throws ends the scoring; one that leaves a response out is a defect", async () => {
    const broken: RewardComponent = {
      ...brevity(10),
      rate() {
        throw new RecipeError("the server is gone");
      },
    };
    await expect(score(composeRewards([{ component: broken, weight: 1 }]), [request("a")])).rejects.toThrow(
      "the server is gone",
    );
    const silent: RewardComponent = { ...brevity(10), async *rate() {} };
    await expect(score(composeRewards([{ component: silent, weight: 1 }]), [request("a")])).rejects.toThrow(
      "1 responses were left",
    );
  });

  test("an abort ends it quietly", async () => {
    const model = composeRewards([{ component: checksComponent(), weight: 1 }]);
    expect(await score(model, [request("a")], AbortSignal.abort())).toEqual([]);
  });

  test("all components are closed, though one fails to", async () => {
    const good = brevity(10);
    const bad: RewardComponent = { ...brevity(20), close: () => Promise.reject(new Error("stuck")) };
    const model = composeRewards([
      { component: bad, weight: 1 },
      { component: good, weight: 1 },
    ]);
    await expect(model.close()).rejects.toThrow("stuck");
    expect(good.closed).toBe(1);
  });
});

describe("identity and name", () => {
  const of = (...parts: [RewardComponent, number][]) =>
    composeRewards(parts.map(([component, weight]) => ({ component, weight })));

  test("depend on the components and the ratio of the weights", () => {
    const base = of([checksComponent(), 2], [brevity(10), 1]);
    expect(base.name.split(" + ").sort()).toEqual(["brevity (0.33)", "checks (0.67)"]);
    expect(of([checksComponent(), 7]).name).toBe("checks");
    expect(of([brevity(10), 1], [checksComponent(), 2]).identity).toBe(base.identity);
    expect(of([checksComponent(), 6], [brevity(10), 3]).identity).toBe(base.identity);
    const others = [
      of([checksComponent(), 1], [brevity(10), 1]),
      of([checksComponent(), 1], [brevity(10), 2]),
      of([checksComponent(), 2], [brevity(11), 1]),
      of([checksComponent(), 2]),
      of([brevity(10), 1]),
    ].map(({ identity }) => identity);
    expect(new Set([base.identity, ...others]).size).toBe(6);
  });

  test("weights that are none are refused", () => {
    expect(() => of()).toThrow(RecipeError);
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => of([brevity(10), weight])).toThrow(RecipeError);
  });
});

describe("the rewards of a recipe", () => {
  const noModels = {
    modelFiles: () => Promise.reject(new Error("no model was asked for")),
    rewardModelFiles: () => Promise.reject(new Error("no reward model was asked for")),
  };

  test("checks and a judge at an endpoint, weighed", async () => {
    const server = await localServer((_, answer) => {
      const top = [
        { token: "4", logprob: Math.log(0.75) },
        { token: "2", logprob: Math.log(0.25) },
      ];
      sendJson(answer, 200, completion([{ content: "4", logprobs: { content: [{ ...top[0], top_logprobs: top }] } }]));
    });
    opened.push(server);
    const model = await openRewards(
      [
        { kind: "checks", weight: 1 },
        {
          kind: "judge",
          name: "quality",
          endpoint: endpointSchema.parse({ url: server.url, model: "m" }),
          scale: [1, 5],
          answer: "probabilities",
          weight: 3,
        },
      ],
      noModels,
    );
    opened.push(model);
    const [one] = (await score(model, [request(text)])) as [Score];
    // Expected rating 0.75 * 4 + 0.25 * 2 = 3.5, which is 0.625 of the way from 1 to 5.
    expect(one.value).toBeCloseTo((2 / 3 + 3 * 0.625) / 4, 12);
    expect(one.parts).toContainEqual({ name: "quality", value: expect.closeTo(0.625, 12) as number, weight: 0.75 });
    expect(one.parts).toContainEqual({
      name: "quality:rating_mass",
      value: expect.closeTo(1, 12) as number,
      weight: 0,
    });
    expect(model.name.split(" + ").sort()).toEqual(["checks (0.25)", "judge quality (0.75)"]);
  });

  test("two rewards that can't be told apart are refused", async () => {
    const checks: RewardRecipe = { kind: "checks", weight: 1 };
    const error: unknown = await openRewards([checks, checks], noModels).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RecipeError);
    expect((error as RecipeError).place.field).toBe("rewards.1");
  });
});
