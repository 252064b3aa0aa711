import { describe, expect, test } from "vitest";
import {
  type EndpointRecipe,
  EnvironmentError,
  endpointSchema,
  RecipeError,
  type ScoreRequest,
  SourceError,
} from "../../schema/index.ts";
import { completion, openAiError, sendJson } from "../../sources/testing/local-server.ts";
import { serving } from "../../sources/testing/serving.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { endpointReader } from "./endpoint.ts";
import { judgeComponent } from "./judge.ts";
import type { Scale } from "./scale.ts";

const key = "sk-test-Zq7/4fWbR+mN2xYv";
const never = new AbortController().signal;
const { closing, serve } = serving();
const judge = async (
  url: string,
  recipe: Partial<EndpointRecipe> = {},
  scale: Scale = [1, 5],
): Promise<RewardComponent> => {
  const full = endpointSchema.parse({
    url,
    model: "m",
    key_env: "JUDGE_KEY",
    retries: 2,
    timeout_seconds: 20,
    ...recipe,
  });
  const made = await judgeComponent({ name: "quality", scale, answer: "probabilities" }, "rewards.1", async () =>
    endpointReader(full, scale, "rewards.1", { environment: { JUDGE_KEY: key }, retryDelayMs: 1 }),
  );
  return closing(made);
};
const requests = (count: number): ScoreRequest[] =>
  Array.from({ length: count }, (_, i) => ({
    responseKey: `r${i}`,
    prompt: { id: `p${i}`, messages: [{ role: "user", content: `question ${i}` }], checks: [] },
    text: `response ${i}`,
  }));
const rate = async (component: RewardComponent, count = 1, signal = never): Promise<ComponentOutcome[]> => {
  const all: ComponentOutcome[] = [];
  for await (const outcome of component.rate(requests(count), signal)) all.push(outcome);
  return all.sort((a, b) => a.index - b.index);
};
const thrown = async (component: Promise<RewardComponent>, count = 1): Promise<unknown> =>
  component.then((made) => rate(made, count)).catch((error: unknown) => error);

type Top = readonly (readonly [token: string, probability: number])[];
const rated = (top: Top, content = top[0]?.[0] ?? "") => {
  const list = top.map(([token, p]) => ({ token, logprob: Math.log(p), bytes: null }));
  return completion([
    { content, finish_reason: "length", logprobs: { content: [{ ...list[0], top_logprobs: list }], refusal: null } },
  ]);
};
const failure = async (answer: object, recipe: Partial<EndpointRecipe> = {}): Promise<[string, number]> => {
  const server = await serve((_, response) => sendJson(response, 200, answer));
  const [outcome, ...others] = await rate(await judge(server.url, recipe));
  expect(others).toEqual([]);
  if (outcome === undefined || !("failure" in outcome)) throw new Error(JSON.stringify(outcome));
  return [outcome.failure.replace(server.url, "URL"), server.calls.length];
};

describe("a judge at an endpoint", () => {
  test("one token at temperature 0 with 20 log-probs; the expected rating of those that are ratings", async () => {
    const server = await serve((_, answer) =>
      sendJson(
        answer,
        200,
        rated([
          ["4", 0.5],
          [" 5", 0.2],
          ["5", 0.1],
          ["The", 0.1],
          ["\u01202", 0.05],
          ["9", 0.02],
          ["05", 0.01],
          ["3.5", 0.01],
        ]),
      ),
    );
    const [outcome] = await rate(await judge(server.url));
    const mass = 0.5 + 0.2 + 0.1 + 0.05;
    const expected = (4 * 0.5 + 5 * 0.3 + 2 * 0.05) / mass;
    expect(outcome).toEqual({
      index: 0,
      parts: [
        { name: "quality", value: expect.closeTo((expected - 1) / 4, 12) as number, weight: 1 },
        { name: "quality:rating_mass", value: expect.closeTo(mass, 12) as number, weight: 0 },
      ],
    });
    const { messages, ...fields } = server.calls[0]!.body;
    expect(fields).toEqual({ model: "m", max_tokens: 1, temperature: 0, logprobs: true, top_logprobs: 20 });
    expect(messages).toHaveLength(1);
    expect(messages[0]!.content).toContain("<request>\nquestion 0\n</request>");
    expect(messages[0]!.content).toContain("<answer>\nresponse 0\n</answer>");
  });

  test("many responses, each with its own rating, at most `concurrency` at once", async () => {
    const waiting: (() => void)[] = [];
    const server = await serve(({ body }, answer) => {
      const number = Number(/response (\d+)/.exec(body.messages[0]!.content)![1]);
      waiting.push(() => sendJson(answer, 200, rated([[`${(number % 5) + 1}`, 0.9]])));
      // Three calls wait for each other; were there fewer at once, none would ever be answered.
      if (waiting.length === 3) for (const send of waiting.splice(0)) send();
    });
    const outcomes = await rate(await judge(server.url, { concurrency: 3 }), 12);
    expect(outcomes.map((outcome) => ("parts" in outcome ? outcome.parts[0]!.value : outcome.failure))).toEqual(
      Array.from({ length: 12 }, (_, i) => (i % 5) / 4),
    );
    expect(server.mostOpen()).toBe(3);
  });

  test.each([
    ["null", completion(["4"])],
    [
      "an empty list beside the token",
      completion([{ content: "4", logprobs: { content: [{ token: "4", logprob: -0.1, top_logprobs: [] }] } }]),
    ],
    ["of the old completions", completion([{ content: "4", logprobs: { tokens: ["4"], token_logprobs: [-0.1] } }])],
    [
      "null beside each token",
      completion([
        {
          content: "4",
          logprobs: { content: [{ token: "4", logprob: null, top_logprobs: [{ token: "4", logprob: null }] }] },
        },
      ]),
    ],
    ["none for text", completion([{ content: "4", logprobs: { content: [] } }])],
  ])("no log-probs (%s): the run ends with what to do", async (_, answer) => {
    const server = await serve((_, response) => sendJson(response, 200, answer));
    const error = await thrown(judge(server.url, { concurrency: 1 }), 5);
    expect(error).toBeInstanceOf(SourceError);
    const { message, hint, place } = error as SourceError;
    expect(message).toBe(
      `${server.url}: the answer comes without the log-probs that were asked for: it can't be a judge`,
    );
    expect(hint).toContain("`model` in place of `endpoint`");
    expect(place.field).toBe("rewards.1.endpoint");
    expect(server.calls).toHaveLength(1);
  });

  test("a server that refuses the field says so in the same way", async () => {
    const server = await serve((_, answer) =>
      sendJson(
        answer,
        400,
        openAiError("'logprobs' is not supported with this model", "unsupported_parameter", "logprobs"),
      ),
    );
    const error = await thrown(judge(server.url));
    expect(error).toBeInstanceOf(SourceError);
    expect((error as SourceError).hint).toContain("`model` in place of `endpoint`");
  });

  test("log-probs missing once they were given: a failure of that response", async () => {
    const server = await serve(({ body }, answer) =>
      sendJson(answer, 200, body.messages[0]!.content.includes("response 1") ? completion(["4"]) : rated([["4", 0.9]])),
    );
    const outcomes = await rate(await judge(server.url, { concurrency: 1 }), 3);
    expect(outcomes.map((outcome) => "failure" in outcome)).toEqual([false, true, false]);
    expect(outcomes[1]).toMatchObject({
      failure: expect.stringContaining("without the log-probs that were asked for, tried 2 times") as string,
    });
  });

  test("prose: asked once more, then a failure with what was said", async () => {
    expect(
      await failure(
        rated([
          ["The", 0.6],
          ["This", 0.3],
        ]),
      ),
    ).toEqual([`URL: none of the ratings is among the 2 most probable tokens; the judge said "The", tried 2 times`, 2]);
    expect((await failure(rated([["The", 0.6]]), { retries: 0 }))[1]).toBe(1);
  });

  test("the second look may read what the first could not", async () => {
    const server = await serve((_, answer, before) =>
      sendJson(answer, 200, rated([[before === 0 ? "Well" : "5", 0.9]])),
    );
    const [outcome] = await rate(await judge(server.url));
    expect(outcome).toMatchObject({ parts: [{ value: 1 }, { weight: 0 }] });
  });

  test("a rating among improbable tokens is no rating", async () => {
    const [said] = await failure(
      rated([
        ["The", 0.9],
        ["4", 0.002],
      ]),
    );
    expect(said).toBe("only 0.2 % of the judge's probability is on the ratings 1 to 5, at least 1 % is wanted");
  });

  test("log-probs above 0 are no log-probs", async () => {
    const [said] = await failure(
      completion([
        {
          content: "4",
          logprobs: { content: [{ token: "4", logprob: 3, top_logprobs: [{ token: "4", logprob: 3 }] }] },
        },
      ]),
    );
    expect(said).toMatch(
      /^URL: the answer's log-probs can't be: the probabilities add up to 20\.08\d+, tried 2 times$/,
    );
  });

  test.each([
    ["NaN", `NaN`],
    ["a text", `"-0.1"`],
  ])("a log-prob that is %s: tried again, then a failure", async (_, written) => {
    const text = JSON.stringify(rated([["4", 0.5]])).replaceAll(String(Math.log(0.5)), written);
    const server = await serve(
      (_, answer) => void answer.writeHead(200, { "content-type": "application/json" }).end(text),
    );
    const [outcome] = await rate(await judge(server.url));
    expect(outcome).toMatchObject({ failure: expect.stringMatching(/tried 3 times$/) as string });
    expect(server.calls).toHaveLength(3);
  });

  test("an answer that repeats the key does not show it", async () => {
    const [said] = await failure(rated([[key, 0.9]]));
    expect(said).not.toContain(key);
  });

  test.each([
    ["empty", completion([{ content: "", logprobs: { content: [] } }]), "the judge's answer is empty"],
    [
      "filtered",
      completion([{ content: null, finish_reason: "content_filter" }]),
      "a content filter held the rating back",
    ],
    ["refused", completion([{ content: null, refusal: "I can't." }]), "the judge refused to rate"],
    ["no choices", completion([]), "the answer has no choices"],
  ])("an answer that is %s", async (_, answer, words) => {
    expect((await failure(answer))[0]).toBe(`URL: ${words}, tried 2 times`);
  });

  test("a wrong key ends the run", async () => {
    const server = await serve((_, answer) => sendJson(answer, 401, openAiError("no", "invalid_api_key")));
    const error = await thrown(judge(server.url), 3);
    expect(error).toBeInstanceOf(SourceError);
    expect((error as SourceError).hint).toContain("JUDGE_KEY");
  });

  test("an abort ends it quietly, also while a call hangs", async () => {
    const stop = new AbortController();
    const server = await serve((_, answer, before) => {
      if (before === 0) sendJson(answer, 200, rated([["4", 0.9]]));
      else stop.abort();
    });
    expect(await rate(await judge(server.url, { concurrency: 1 }), 4, stop.signal)).toHaveLength(1);
  });

  test("what can't work is refused before any call", async () => {
    const wide = await thrown(judge("http://127.0.0.1:9/v1", {}, [1, 10]));
    expect(wide).toBeInstanceOf(RecipeError);
    expect((wide as RecipeError).place.field).toBe("rewards.1.scale");
    expect(await thrown(judge("http://127.0.0.1:9/v1", { key_env: "NOT_SET" }))).toBeInstanceOf(EnvironmentError);
  });

  test("the identity follows the endpoint and the scale", async () => {
    const one = await judge("http://127.0.0.1:9/v1");
    expect((await judge("http://127.0.0.1:9/v1", { concurrency: 1 })).identity).toBe(one.identity);
    expect((await judge("http://127.0.0.1:9/v1", { model: "other" })).identity).not.toBe(one.identity);
    expect((await judge("http://127.0.0.1:9/v1", {}, [1, 9])).identity).not.toBe(one.identity);
  });
});
