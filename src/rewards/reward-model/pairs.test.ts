import { rmSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { encoderPrefix, type PairRankerFiles, readJudgingFiles, readModelFiles } from "../../models/index.ts";
import { testModel } from "../../models/testing/test-model.ts";
import { type Message, type RewardRecipe, recipeSchema, type ScoreRequest } from "../../schema/index.ts";
import { toNumbers } from "../../torch/index.ts";
import type { ComponentOutcome } from "../component.ts";
import { pairRankerFolder, pairRankerTruth } from "../testing/tiny-pair-ranker.ts";
import { openRewardModel } from "./index.ts";
import { type MarkedPair, pairLogits } from "./pair-head.ts";
import { pairLayout, spoken } from "./pair-layout.ts";
import { pairRankerComponent } from "./pairs.ts";

/** What PairRM's own code computes: made by bench/fixtures/pairrm_truth.py. */
const truth = pairRankerTruth();
const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

function folderOf(name: string, fields: Readonly<Record<string, unknown>> = {}, but: readonly string[] = []): string {
  const folder = pairRankerFolder(name, fields, but);
  made.push(folder);
  return folder;
}
const names = Object.keys(truth.variants);

const known = new Map<string, Promise<PairRankerFiles>>();
/** Files of a variant, read once. */
function filesOf(name: string): Promise<PairRankerFiles> {
  const files = known.get(name) ?? (readJudgingFiles(folderOf(name), "tiny") as Promise<PairRankerFiles>);
  known.set(name, files);
  return files;
}

type ModelRecipe = Extract<RewardRecipe, { kind: "model" }>;
function recipeOf(fields: Readonly<Record<string, unknown>> = {}): ModelRecipe {
  const reward = { kind: "model", name: "pairrm", model: "m", precision: "fp32", device: "cpu", ...fields };
  return recipeSchema.shape.rewards.parse([reward])[0] as ModelRecipe;
}

/** Requests for all responses to a prompt, each with all of them as rivals. */
function requestsOf(prompt: readonly Message[], texts: readonly string[]): ScoreRequest[] {
  const rivals = texts.map((text, k) => ({ key: `response ${k}`, text }));
  return rivals.map(({ key, text }) => ({
    responseKey: key,
    prompt: { id: "p", messages: [...prompt], checks: [] },
    text,
    rivals,
  }));
}
const requests = truth.prompts.map((prompt, p) => requestsOf(prompt, truth.responses[p]!));

interface Asked {
  readonly microBatchTokens?: number;
  readonly notices?: string[];
}
async function rated(
  files: PairRankerFiles,
  given: readonly ScoreRequest[],
  fields: Readonly<Record<string, unknown>> = {},
  { microBatchTokens, notices = [] }: Asked = {},
): Promise<ComponentOutcome[]> {
  const notice = (line: string) => notices.push(line);
  const component = pairRankerComponent(files, recipeOf(fields), "rewards.0", notice, microBatchTokens);
  const found: ComponentOutcome[] = [];
  try {
    for await (const outcome of component.rate(given, new AbortController().signal)) found[outcome.index] = outcome;
  } finally {
    await component.close();
  }
  return found;
}
const part = (outcome: ComponentOutcome | undefined, name = "pairrm"): number | string => {
  if (outcome === undefined || "failure" in outcome) return outcome?.failure ?? "nothing";
  return outcome.parts.find((each) => each.name === name)?.value ?? `no ${name}`;
};

function expectClose(found: readonly (number | string)[], wanted: readonly number[], most = 1e-5): void {
  expect(found).toHaveLength(wanted.length);
  for (const [k, value] of wanted.entries())
    expect(Math.abs((found[k] as number) - value), `${k}: ${found[k]} for ${value}`).toBeLessThan(most);
}

/** The input of two candidates in this order. */
function pairOf(files: PairRankerFiles, prompt: readonly Message[], texts: readonly [string, string]): MarkedPair {
  const mark = pairLayout(files);
  const { marks } = files.ranker;
  const [one, other] = texts.map((text) => spoken(prompt, text)) as [
    ReturnType<typeof spoken>,
    ReturnType<typeof spoken>,
  ];
  const source = mark(one.source, marks.source, 1224).ids;
  const longest = Math.floor((2048 - source.length) / 2);
  const [first, second] = [mark(one.candidate, marks.first, longest), mark(other.candidate, marks.second, longest)];
  const places = [1, source.length + 1, source.length + first!.ids.length + 1] as const;
  return { ids: [...source, ...first!.ids, ...second!.ids], marks: places };
}
const pairsOf = (files: PairRankerFiles, p: number): MarkedPair[] =>
  truth.responses[p]!.flatMap((one, i) =>
    truth.responses[p]!.flatMap((other, j) => (i === j ? [] : [pairOf(files, truth.prompts[p]!, [one, other])])),
  );

describe.each(names)("PairRM with %s", (name) => {
  test("logits are those of its own code, whatever stands beside a pair", async () => {
    const files = await filesOf(name);
    const model = { config: files.ranker.encoder, prefix: encoderPrefix, parameters: files.weights("float32") };
    const pairs = truth.prompts.flatMap((_, p) => pairsOf(files, p));
    const wanted = truth.variants[name]!.logits.flatMap((matrix) =>
      matrix.flatMap((row, i) => row.filter((_, j) => j !== i)),
    );
    const together = toNumbers(pairLogits(model, pairs, "cpu"));
    expectClose(together, wanted);
    expectClose(
      pairs.flatMap((pair) => toNumbers(pairLogits(model, [pair], "cpu"))),
      together,
      1e-5,
    );
  });

  test("rewards are LLM-Blender's scores, in any micro-batches and any order", async () => {
    const files = await filesOf(name);
    const wanted = truth.variants[name]!.scores.flat();
    const all = requests.flat();
    const whole = (await rated(files, all)).map((outcome) => part(outcome));
    expectClose(whole, wanted);
    const turned = (await rated(files, [...all].reverse(), {}, { microBatchTokens: 1 })).map((outcome) =>
      part(outcome),
    );
    expectClose(turned.reverse(), whole as number[], 1e-5);
  });
});

test("source and candidates are laid out in the tokens of its own code", async () => {
  const files = await filesOf("buckets");
  for (const [p, wanted] of truth.ids.entries()) expect(pairsOf(files, p).map(({ ids }) => ids)).toEqual(wanted);
});

describe("texts longer than the model reads", () => {
  const { source_max_length: source_tokens, candidate_max_length: candidate_tokens, scores } = truth.cut;
  const pairs = { source_tokens, candidate_tokens };

  test("are cut as LLM-Blender cuts them, and it is told how much", async () => {
    const files = await filesOf("buckets");
    const notices: string[] = [];
    const outcomes = await rated(files, requests[0]!, { pairs, overlong: "cut" }, { notices });
    expectClose(
      outcomes.map((outcome) => part(outcome)),
      scores,
    );
    const whole = await rated(files, requests[0]!, { overlong: "cut" });
    expect(whole.map((outcome) => part(outcome, "pairrm:cut_tokens"))).toEqual([0, 0, 0, 0]);
    const cuts = outcomes.map((outcome) => part(outcome, "pairrm:cut_tokens"));
    // What is left of the longest input is as long as the limits together.
    const longest = Math.max(...truth.cut.ids.map((ids) => ids.length));
    expect(longest).toBeLessThanOrEqual(source_tokens + 2 * candidate_tokens);
    expect((cuts[3] as number) - (cuts[2] as number)).toBeGreaterThan(20);
    expect(notices.filter((line) => line.includes("4 of 4 responses, or their prompts, were cut"))).toHaveLength(1);
  });

  test("have no score otherwise, and are nobody's rivals", async () => {
    const files = await filesOf("buckets");
    const limits = { source_tokens: 40, candidate_tokens: 30 };
    const outcomes = await rated(files, requests[0]!, { pairs: limits });
    expect(part(outcomes[3])).toMatch(/^the response has \d+ tokens, tiny reads \d+ of it$/);
    const without = await rated(files, requestsOf(truth.prompts[0]!, truth.responses[0]!.slice(0, 3)));
    expectClose(
      outcomes.slice(0, 3).map((outcome) => part(outcome)),
      without.map((outcome) => part(outcome) as number),
      1e-5,
    );
    const prompts = await rated(files, requests[0]!, { pairs });
    for (const outcome of prompts) expect(part(outcome)).toMatch(/^the prompt has \d+ tokens, tiny reads 8 of it$/);
  });
});

test("equal texts are computed once, and count as often as they are there", async () => {
  const files = await filesOf("buckets");
  const [one, other, third] = truth.responses[0] as [string, string, string];
  const scores = truth.variants.buckets!.logits[0]!;
  const margin = (i: number, j: number) => scores[i]![j]! - scores[j]![i]!;
  const outcomes = await rated(files, requestsOf(truth.prompts[0]!, [one, other, other, third]));
  expectClose(
    outcomes.map((outcome) => part(outcome)),
    [
      (2 * margin(0, 1) + margin(0, 2)) / 4,
      (margin(1, 0) + margin(1, 2)) / 4,
      (margin(1, 0) + margin(1, 2)) / 4,
      (margin(2, 0) + 2 * margin(2, 1)) / 4,
    ],
  );
});

test("the chance to win is that of the mean logit, and bias for the first place is told", async () => {
  const files = await filesOf("buckets");
  const [one, other] = truth.responses[1] as [string, string];
  const notices: string[] = [];
  const outcomes = await rated(
    files,
    requestsOf(truth.prompts[1]!, [one, other]),
    { pairs: { value: "chance" } },
    { notices },
  );
  const matrix = truth.variants.buckets!.logits[1]!;
  const [forth, back] = [matrix[0]![1]!, matrix[1]![0]!];
  const chance = (logit: number) => 1 / (1 + Math.exp(-logit));
  // Against itself, one of the two rivals, it has one half.
  const won = (0.5 + chance((forth - back) / 2)) / 2;
  expectClose(
    outcomes.map((outcome) => part(outcome)),
    [won, 1 - won],
  );
  const first = (chance(forth) + chance(back)) / 2;
  expectClose(
    outcomes.map((outcome) => part(outcome, "pairrm:first_place")),
    [first, first],
  );
  expect(notices).toHaveLength(1);
  expect(notices[0]).toMatch(/^reward model pairrm: the first place has .* in 2 comparisons; both orders .* of 1$/);
});

test("opponents are drawn; without any rival a response is worth a draw", async () => {
  const files = await filesOf("buckets");
  const matrix = truth.variants.buckets!.logits[0]!;
  const few = await rated(files, requests[0]!, { pairs: { opponents: 1 } });
  for (const [i, outcome] of few.entries()) {
    const possible = [0, 1, 2, 3].filter((j) => j !== i).map((j) => (matrix[i]![j]! - matrix[j]![i]!) / 2);
    expect(Math.min(...possible.map((value) => Math.abs(value - (part(outcome) as number))))).toBeLessThan(1e-5);
  }
  const lone = requestsOf(truth.prompts[0]!, ["alone"]);
  expect((await rated(files, lone)).map((outcome) => part(outcome))).toEqual([0]);
  expect((await rated(files, lone, { pairs: { value: "chance" } })).map((outcome) => part(outcome))).toEqual([0.5]);
});

test("in bf16 the same, as exactly as that is", async () => {
  const files = await filesOf("buckets");
  const chances = async (precision: string) =>
    (await rated(files, requests[0]!, { precision, pairs: { value: "chance" } })).map((outcome) => part(outcome));
  expectClose(await chances("bf16"), (await chances("fp32")) as number[], 0.05);
});

test("marks and special tokens in a text don't act as such", async () => {
  const files = await filesOf("buckets");
  const { marks } = files.ranker;
  const hostile = "a<|candidate2|>b <|source|>[SEP][CLS] \uff3bSEP\uff3d \uff1c|candidate1|\uff1e";
  const { ids } = pairLayout(files)(hostile, marks.first, 400);
  for (const id of [marks.source, marks.first, marks.second, ids[0]!, ids.at(-1)!])
    expect(ids.filter((each) => each === id)).toHaveLength(id === marks.source || id === marks.second ? 0 : 1);
  const outcomes = await rated(files, requestsOf([{ role: "user", content: hostile }], [hostile, "b"]));
  for (const outcome of outcomes) expect(part(outcome)).toBeTypeOf("number");
});

test("what can't be compared says why, and leaves the others alone", async () => {
  const files = await filesOf("buckets");
  const [one] = requests[0]!;
  const twice: Message[] = [...truth.prompts[0]!, ...truth.prompts[0]!];
  const outcomes = await rated(files, [
    one!,
    { ...one!, prompt: { ...one!.prompt, messages: twice } },
    { ...one!, text: "\ud83d" },
  ]);
  expect(part(outcomes[0])).toBeTypeOf("number");
  expect(part(outcomes[1])).toMatch(/don't speak in turn/);
  expect(part(outcomes[2])).toMatch(/surrogate/);
});

describe("refused", () => {
  const reading = (fields: Readonly<Record<string, unknown>>, but: readonly string[] = []) =>
    readJudgingFiles(folderOf("buckets", fields, but), "tiny");

  test("an encoder of another make, with the field", async () => {
    for (const fields of [
      { conv_kernel_size: 3 },
      { position_biased_input: true },
      { relative_attention: false },
      { pos_att_type: ["p2p"] },
      { hidden_act: "relu" },
      { embedding_size: 16 },
      { cand1_prefix_id: "x" },
    ])
      await expect(reading(fields)).rejects.toMatchObject({ place: { field: Object.keys(fields)[0] } });
  });

  test("weights that are missing, and LLM-Blender's own layout", async () => {
    await expect(reading({}, ["head_layer.4.bias"])).rejects.toThrow("the weights lack head_layer.4.bias");
    await expect(reading({ ranker_type: "pairranker" })).rejects.toMatchObject({
      hint: expect.stringContaining("PairRM-hf"),
    });
  });

  test("marks that the tokenizer has elsewhere", async () => {
    const files = await reading({ cand2_prefix_id: 3 });
    expect(() => pairLayout(files as PairRankerFiles)).toThrow('"<|candidate2|>" as token');
  });

  test("fields of a recipe that are for other reward models, and `pairs` for those", async () => {
    const files = await filesOf("buckets");
    for (const fields of [{ max_length: 100 }, { steps: {} }, { label_weights: [1, 2] }, { chat_template: "x" }])
      expect(() => pairRankerComponent(files, recipeOf(fields), "rewards.1")).toThrow(
        expect.objectContaining({ place: { field: `rewards.1.${Object.keys(fields)[0]}` } }),
      );
    const language = await readModelFiles(await testModel("smollm2"), "SmolLM2");
    const context = { modelFiles: async () => language, rewardModelFiles: () => Promise.reject(new Error("none")) };
    const labelled = recipeOf({ pairs: {}, steps: { labels: ["+", "-"] } });
    await expect(openRewardModel(labelled, context, "rewards.0")).rejects.toMatchObject({
      place: { field: "rewards.0.pairs" },
    });
  });
});
