import { afterEach, describe, expect, test } from "vitest";
import { readModelFiles } from "../../models/index.ts";
import { tinyFolder } from "../../models/testing/tiny-model.ts";
import { endpointSchema, type ScoreRequest, SourceError } from "../../schema/index.ts";
import { completion, openAiError, sendJson } from "../../sources/testing/local-server.ts";
import { serving } from "../../sources/testing/serving.ts";
import { tensorMemory } from "../../torch/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { openJudge } from "./index.ts";
import { readWritten } from "./written-form.ts";

const noModel = () => Promise.reject(new Error("none"));

const never = new AbortController().signal;
const { serve } = serving();
const opened: RewardComponent[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

const requests: ScoreRequest[] = ["Jupiter.", "", "a ".repeat(40)].map((text, k) => ({
  responseKey: `r${k}`,
  prompt: { id: `p${k}`, messages: [{ role: "user", content: "Which?" }], checks: [] },
  text,
}));
const rate = async (component: RewardComponent): Promise<ComponentOutcome[]> => {
  opened.push(component);
  const all: ComponentOutcome[] = [];
  for await (const outcome of component.rate(requests, never)) all.push(outcome);
  return all.sort((a, b) => a.index - b.index);
};
const common = { kind: "judge", name: "quality", rubric: "{prompt} {response}", weight: 1 } as const;
const scale: [number, number] = [0, 10];

describe("a model on this machine that writes its rating", () => {
  const judge = (answer: "rating" | "reasoned", maxPositions?: number) =>
    openJudge(
      { ...common, scale, answer, model: "tiny", precision: "fp32", device: "cpu" },
      {
        rewardModelFiles: noModel,
        modelFiles: async () => {
          const files = await readModelFiles(tinyFolder("llama"), "tiny");
          // The tiny model was made for 256 tokens; its rotations go on beyond.
          return { ...files, decoderConfig: { ...files.decoderConfig, maxPositions: maxPositions ?? 2048 } };
        },
      },
      "rewards.0",
    );

  test.each(["rating", "reasoned"] as const)("a model of random weights can't but rate: %s", async (answer) => {
    const outcomes = await rate(await judge(answer));
    expect(outcomes).toHaveLength(requests.length);
    for (const outcome of outcomes) {
      if (!("parts" in outcome)) throw new Error(outcome.failure);
      expect(outcome.parts).toEqual([{ name: "quality", value: expect.any(Number) as number, weight: 1 }]);
      expect([...Array(11).keys()].map((rating) => rating / 10)).toContain(outcome.parts[0]!.value);
    }
  });

  test("closed, it holds no memory of its cache or weights", async () => {
    const before = tensorMemory().used;
    await rate(await judge("reasoned"));
    for (const one of opened.splice(0)) await one.close();
    expect(tensorMemory().used).toBe(before);
  });

  test("without room for the answer it is a failure with the counts", async () => {
    const [outcome] = await rate(await judge("reasoned", 200));
    expect(outcome).toMatchObject({
      failure: expect.stringMatching(
        /^the judge's prompt has \d+ tokens and its answer up to 198, the context of tiny 200$/,
      ) as string,
    });
  });

  test("how it answers is part of what it is", async () => {
    const [one, other] = [await judge("rating"), await judge("reasoned")];
    expect(one.identity).not.toBe(other.identity);
  });
});

describe("a server that writes its rating", () => {
  const judge = (url: string) =>
    openJudge(
      { ...common, scale, answer: "reasoned", endpoint: endpointSchema.parse({ url, model: "m", retries: 0 }) },
      { modelFiles: noModel, rewardModelFiles: noModel, endpoint: { retryDelayMs: 1 } },
      "rewards.0",
    );

  test("is held to the form by a schema, needs no log-probs, and another form is a failure", async () => {
    const texts = ['{"reasons": "short", "rating": 7}', "I would give it a 7.", '{"rating": 11}'];
    const server = await serve((call, response) => {
      const { messages } = call.body;
      const at = requests.findIndex(({ text }) => messages[0]!.content === `Which? ${text}`);
      sendJson(response, 200, completion([{ content: texts[at]! }]));
    });
    const outcomes = await rate(await judge(server.url));
    expect(outcomes[0]).toEqual({ index: 0, parts: [{ name: "quality", value: 0.7, weight: 1 }] });
    const failures = outcomes.slice(1).map((one) => ("failure" in one ? one.failure.replace(server.url, "URL") : one));
    expect(failures).toEqual([
      'URL: the judge\'s answer is no JSON: "I would give it a 7."',
      'URL: the judge\'s answer has no rating from 0 to 10: "{\\"rating\\": 11}"',
    ]);
    expect(server.calls[0]!.body).toMatchObject({
      temperature: 0,
      response_format: {
        type: "json_schema",
        json_schema: { schema: { required: ["reasons", "rating"], additionalProperties: false } },
      },
    });
  });

  test("that refuses the field is told from a failure, with what to do", async () => {
    const server = await serve((_, response) =>
      sendJson(
        response,
        400,
        openAiError(
          "Unrecognized request argument supplied: response_format",
          "invalid_request_error",
          "response_format",
        ),
      ),
    );
    const error: unknown = await rate(await judge(server.url)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SourceError);
    expect((error as SourceError).message).toContain("it can't be a judge that writes its answer");
  });
});

test("only a whole rating of the scale counts", () => {
  expect(readWritten('{"rating": 3}', [1, 5])).toEqual({ rating: 3 });
  for (const text of ["3", '{"rating": 3.5}', '{"rating": "3"}', '{"rating": 6}', "{}", '{"rating": 3'])
    expect(readWritten(text, [1, 5])).toHaveProperty("failure");
});
