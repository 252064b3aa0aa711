import { describe, expect, test } from "vitest";
import { type Message, type RewardRecipe, recipeSchema } from "../../schema/index.ts";
import { type Handler, sendJson } from "../../sources/testing/local-server.ts";
import { serving } from "../../sources/testing/serving.ts";
import type { ComponentOutcome } from "../component.ts";
import { type EndpointRewardRecipe, endpointComponent } from "./index.ts";

const { serve, closing } = serving();
const template =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
const templated = { chat_template: template, special_tokens: { eos: "</s>" } };

/** A reward of a recipe as it is read. */
function rewardOf(more: Record<string, unknown>, endpoint: Record<string, unknown>): EndpointRewardRecipe {
  const recipe = recipeSchema.parse({
    prompts: { file: "p.jsonl" },
    target: { model: "m" },
    sources: [{ name: "s", recorded: { file: "r.jsonl" } }],
    rewards: [{ kind: "endpoint", name: "judge", endpoint: { retries: 2, concurrency: 2, ...endpoint }, ...more }],
    evaluation: { prompts: { file: "h.jsonl" } },
  });
  return recipe.rewards[0] as Extract<RewardRecipe, { kind: "endpoint" }>;
}

async function rate(
  reward: EndpointRewardRecipe,
  texts: readonly string[],
  messages: Message[] = [{ role: "user", content: "Why?" }],
): Promise<ComponentOutcome[]> {
  const component = closing(
    endpointComponent(reward, { endpoint: { retryDelayMs: 1, environment: { KEY: "k-123456789" } } }, "rewards.0"),
  );
  const requests = texts.map((text) => ({ responseKey: text, prompt: { id: "p", messages, checks: [] }, text }));
  const outcomes: ComponentOutcome[] = [];
  for await (const outcome of component.rate(requests, new AbortController().signal)) outcomes[outcome.index] = outcome;
  return outcomes;
}

const value = (outcome: ComponentOutcome | undefined) =>
  outcome !== undefined && "parts" in outcome ? outcome.parts[0]!.value : outcome?.failure;

type Items = { readonly items: readonly { readonly response: string }[] };
/** As long as the response is. */
const lengths: Handler = ({ body }, answer) =>
  sendJson(answer, 200, { scores: (body as unknown as Items).items.map(({ response }) => response.length) });

describe("Amalgam's own contract", () => {
  test("messages and responses in batches, figures beside, the key in its header, the URL as it stands", async () => {
    const server = await serve(({ body }, answer) => {
      const { items } = body as unknown as Items;
      const scores = items.map(({ response }) => response.length);
      sendJson(answer, 200, { scores, parts: { polite: scores.map((score) => score / 10), odd: [] } });
    });
    const reward = rewardOf(
      { batch_size: 2 },
      { url: `${server.url}/rate?v=1`, key_env: "KEY", body: { rubric: "strict" } },
    );
    expect(await rate(reward, ["a", "bb", "ccc"])).toEqual(
      [1, 2, 3].map((length, index) => ({
        index,
        parts: [
          { name: "judge", value: length, weight: 1 },
          { name: "judge:polite", value: length / 10, weight: 0 },
        ],
      })),
    );
    expect(server.calls.map(({ path, authorization }) => [path, authorization])).toEqual(
      Array(2).fill(["/v1/rate?v=1", "Bearer k-123456789"]),
    );
    expect(server.calls.map(({ body }) => body).find(({ items }) => (items as unknown[]).length === 2)).toEqual({
      items: ["a", "bb"].map((response) => ({ messages: [{ role: "user", content: "Why?" }], response })),
      rubric: "strict",
    });
  });

  test("429, 500 and half an answer are tried again", async () => {
    const server = await serve((call, answer, before) => {
      if (before === 0) return sendJson(answer, 429, { error: "slow down" }, { "retry-after-ms": "5" });
      if (before === 1) return sendJson(answer, 500, { error: "out of order" });
      if (before === 2)
        return void answer.writeHead(200, { "content-length": 100 }).write('{"scores":', () => answer.destroy());
      return lengths(call, answer, before);
    });
    expect((await rate(rewardOf({}, { url: server.url, retries: 3 }), ["four"])).map(value)).toEqual([4]);
    expect(server.calls).toHaveLength(4);
  });

  test("what is no finite number is the failure of its response alone", async () => {
    const server = await serve((_, answer) => {
      // As Python's json writes them.
      answer.writeHead(200).end('{"scores": [0.5, NaN, -Infinity, null, "0.5", [1, 2]], "note": "NaN, \\"Infinity"}');
    });
    const outcomes = await rate(rewardOf({}, { url: server.url }), ["a", "b", "c", "d", "e", "f"]);
    expect(value(outcomes[0])).toBe(0.5);
    for (const [at, what] of [
      [1, "NaN"],
      [2, "-Infinity"],
      [3, "null"],
      [4, "0.5"],
    ] as const)
      expect(value(outcomes[at])).toMatch(new RegExp(`gave "?${what}"? for it, which is no finite number`));
    expect(value(outcomes[5])).toMatch(/gave 2 numbers for it; `label` says which/);
    expect(server.calls).toHaveLength(1);
  });

  test("more or fewer scores than responses are none", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, { scores: [1, 2] }));
    for (const outcome of await rate(rewardOf({}, { url: server.url }), ["a", "b", "c"]))
      expect(value(outcome)).toMatch(/gave 2 scores for 3 responses$/);
  });

  test("an answer of another form is none, and is told by its field", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, { score: 1 }));
    expect(value((await rate(rewardOf({}, { url: server.url }), ["a"]))[0])).toMatch(
      /the answer is not \{"scores": \[\.\.\.\]\}: .* at scores, tried 3 times$/,
    );
  });

  test("a call that is refused is halved until the response that it can't bear stands alone", async () => {
    const server = await serve((call, answer, before) =>
      JSON.stringify(call.body).includes("too long")
        ? sendJson(answer, 413, { error: "too large" })
        : lengths(call, answer, before),
    );
    const texts = ["a", "bb", "too long", "dddd", "eeeee", "ffffff", "g", "hh"];
    const outcomes = await rate(rewardOf({ batch_size: 8 }, { url: server.url }), texts);
    expect(outcomes.map(value)).toEqual([1, 2, expect.stringMatching(/HTTP 413: too large$/), 4, 5, 6, 1, 2]);
    expect(server.calls).toHaveLength(7);
  });

  test("a server that dies half-way: an error that says so, after all that it gave", async () => {
    const server = await serve((call, answer, before) =>
      before < 4 ? lengths(call, answer, before) : void answer.destroy(),
    );
    const reward = rewardOf({ batch_size: 1 }, { url: server.url, concurrency: 1, retries: 0 });
    const component = closing(endpointComponent(reward, { endpoint: { retryDelayMs: 1 } }, "rewards.0"));
    const texts = Array.from({ length: 20 }, (_, at) => "x".repeat(at + 1));
    const requests = texts.map((text) => ({ responseKey: text, prompt: { id: "p", messages: [], checks: [] }, text }));
    const given: ComponentOutcome[] = [];
    const all = (async () => {
      for await (const outcome of component.rate(requests, new AbortController().signal)) given.push(outcome);
    })();
    await expect(all).rejects.toThrow(/has failed 3 calls in a row \(the connection was/);
    expect(given.slice(0, 4).map(value)).toEqual([1, 2, 3, 4]);
    expect(given.slice(4).every((outcome) => "failure" in outcome)).toBe(true);
  });

  test("a key that is not accepted, a page that is not there", async () => {
    const refusing = await serve((_, answer) => sendJson(answer, 401, {}));
    await expect(rate(rewardOf({}, { url: refusing.url }), ["a"])).rejects.toThrow(
      /does not accept calls without a key/,
    );
    const missing = await serve((_, answer) => sendJson(answer, 404, {}));
    await expect(rate(rewardOf({}, { url: missing.url }), ["a"])).rejects.toThrow(/has no scores at this URL/);
  });
});

describe("OpenRLHF's servers", () => {
  test("whole conversations as texts; rewards, and what is logged beside", async () => {
    const server = await serve(({ body }, answer) => {
      const rewards = (body.query as unknown as string[]).map((query) => query.length);
      const half = rewards.map((one) => one / 2);
      sendJson(answer, 200, { rewards, scores: half, extra_logs: { format: rewards.map(() => 1), mean: 3 } });
    });
    const reward = rewardOf({ protocol: "openrlhf" }, { url: `${server.url}/get_reward`, ...templated });
    const conversation = "<user>Why?</s><assistant>So.</s>";
    expect(await rate(reward, ["So."])).toEqual([
      {
        index: 0,
        parts: [
          { name: "judge", value: conversation.length, weight: 1 },
          { name: "judge:format", value: 1, weight: 0 },
          { name: "judge:scores", value: conversation.length / 2, weight: 0 },
        ],
      },
    ]);
    expect(server.calls[0]).toMatchObject({
      path: "/v1/get_reward",
      body: { query: [conversation], prompts: ["<user>Why?</s><assistant>"], labels: [""] },
    });
  });

  test("the older form, with rewards alone, as numbers or lists of one", async () => {
    const server = await serve((_, answer) => sendJson(answer, 200, { rewards: [0.25, [0.5]] }));
    const reward = rewardOf({ protocol: "openrlhf" }, { url: server.url, ...templated });
    expect((await rate(reward, ["a", "b"])).map(value)).toEqual([0.25, 0.5]);
  });
});

describe("vLLM's routes", () => {
  test("/score: pairs of texts, put in order by their index", async () => {
    const server = await serve(({ body }, answer) => {
      const data = (body.text_2 as unknown as string[]).map((text, index) => ({
        index,
        object: "score",
        score: text.length,
      }));
      sendJson(answer, 200, {
        id: "score-1",
        object: "list",
        model: "rm",
        data: data.reverse(),
        usage: { prompt_tokens: 9 },
      });
    });
    const root = server.url.replace("/v1", "");
    for (const url of [root, `${root}/v1`, `${root}/score`, `${root}/v1/score/`])
      expect((await rate(rewardOf({ protocol: "vllm_score" }, { url, model: "rm" }), ["a", "bb"])).map(value)).toEqual([
        1, 2,
      ]);
    expect(server.calls.map(({ path }) => path)).toEqual(Array(4).fill("/score"));
    expect(server.calls[0]!.body).toEqual({ model: "rm", text_1: ["Why?", "Why?"], text_2: ["a", "bb"] });
    const odd = await serve((_, answer) =>
      sendJson(answer, 200, { data: [0, 0].map((index) => ({ index, score: 1 })) }),
    );
    const [twice] = await rate(rewardOf({ protocol: "vllm_score" }, { url: odd.url, model: "rm" }), ["a", "b"]);
    expect(value(twice)).toMatch(/not numbered from 0 on, each once/);
    const turns: Message[] = [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Why?" },
    ];
    const [outcome] = await rate(rewardOf({ protocol: "vllm_score" }, { url: root, model: "rm" }), ["a"], turns);
    expect(value(outcome)).toMatch(/only by a `chat_template`/);
  });

  test("/pooling: a conversation a call; a number, a list of one, one for each token, or several with a label", async () => {
    const forms: readonly unknown[] = [
      [3],
      3,
      [[1], [2], [3]],
      [
        [0, 1],
        [9, 3],
      ],
    ];
    const server = await serve(({ body }, answer) => {
      const at = Number((body.messages.at(-1) as Message).content);
      sendJson(answer, 200, { object: "list", data: [{ index: 0, object: "pooling", data: forms[at] }], usage: {} });
    });
    const base = { url: server.url, model: "rm" };
    const texts = ["0", "1", "2", "3"];
    const plain = await rate(rewardOf({ protocol: "vllm_pooling" }, base), texts);
    expect(plain.map(value)).toEqual([3, 3, 3, expect.stringMatching(/gave 2 numbers/)]);
    expect(value((await rate(rewardOf({ protocol: "vllm_pooling", label: 1 }, base), ["3"]))[0])).toBe(3);
    expect(server.calls[0]).toMatchObject({ path: "/pooling", body: { model: "rm", add_generation_prompt: false } });
    expect(server.calls[0]!.body.messages).toHaveLength(2);
  });

  test("/pooling with a template of one's own: texts in batches", async () => {
    const server = await serve(({ body }, answer) => {
      const texts = body.input as unknown as string[];
      sendJson(answer, 200, { data: texts.map((text, index) => ({ index, data: [text.length] })) });
    });
    const reward = rewardOf({ protocol: "vllm_pooling" }, { url: server.url, model: "rm", ...templated });
    expect((await rate(reward, ["", "abc"])).map(value)).toEqual([29, 32]);
    expect(server.calls).toHaveLength(1);
  });
});

test("its identity is that of what decides scores: no key, no name, no way of calling", () => {
  const identity = (more: Record<string, unknown> = {}, endpoint: Record<string, unknown> = {}) =>
    endpointComponent(rewardOf(more, { url: "http://host/rate", ...endpoint }), {}, "rewards.0").identity;
  for (const same of [
    identity({ weight: 2, batch_size: 3, name: "other" }),
    identity({}, { key_env: "KEY", retries: 9, url: "http://u:p@host/rate?key=1" }),
  ])
    expect(same).toBe(identity());
  for (const other of [
    identity({ label: 0 }),
    identity({}, { model: "m" }),
    identity({}, { url: "http://host/other" }),
    identity({}, { body: { a: 1 } }),
  ])
    expect(other).not.toBe(identity());
});

test("recipes that lack what their protocol needs", () => {
  expect(() => rewardOf({ protocol: "openrlhf" }, { url: "http://h" })).toThrow(/need a template/);
  expect(() => rewardOf({ protocol: "vllm_score" }, { url: "http://h" })).toThrow(/name of its model/);
  expect(() => rewardOf({}, { url: "http://h", body: { items: [] } })).toThrow(/Amalgam's own/);
});
