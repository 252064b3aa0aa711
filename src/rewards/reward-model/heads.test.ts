import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type ModelFiles, readModelFiles, readRewardModelFiles } from "../../models/index.ts";
import { openSafetensors, writeSafetensorsFile } from "../../nn/index.ts";
import type { Message, RewardRecipe, ScorePart, ScoreRequest } from "../../schema/index.ts";
import { recipeSchema } from "../../schema/index.ts";
import { ops, tensor } from "../../torch/index.ts";
import { rewardModelComponent } from "./index.ts";

interface Case<Reward> {
  readonly family: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly rewards: readonly Reward[];
}

/** What the heads' own code computes: made by bench/fixtures/rewards_truth.py --heads. */
interface Truth extends Readonly<Record<"grm" | "inform" | "qwen" | "urm", Case<number>>> {
  readonly labelled: Case<readonly number[]>;
  readonly qrm: Case<{ score: number; gates: number[]; objectives: number[] }>;
  readonly process: Case<number> & { readonly token: string; readonly steps: readonly string[] };
  readonly labels: { readonly rewards: readonly number[] };
}

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const truth = JSON.parse(readFileSync(fixture("reward-heads.json"), "utf8")) as Truth;
const { conversations } = JSON.parse(readFileSync(fixture("reward-models.json"), "utf8")) as {
  conversations: { prompt: Message[]; response: string }[];
};
const scratch = mkdtempSync(join(tmpdir(), "amalgam-reward-heads-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const asked = (prompt: readonly Message[], text: string, index: number): ScoreRequest => ({
  responseKey: `${index}`,
  prompt: { id: JSON.stringify(prompt), messages: [...prompt], checks: [] },
  text,
});
const requests = conversations.map(({ prompt, response }, index) => asked(prompt, response, index));

/** The weights that rewards_truth.py gave the head. */
function sines(name: string, shape: readonly number[], seed: number) {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, (_, k) => Math.sin(k * 0.7 + seed) * 0.3);
  return tensor(name.includes("running_var") ? values.map((value) => Math.abs(value) + 0.5) : values, shape);
}

function folderOf({ family, config, shapes }: Omit<Case<unknown>, "rewards">): string {
  const folder = mkdtempSync(join(scratch, `${family}-`));
  const base = fileURLToPath(new URL(`../../models/fixtures/tiny-${family}`, import.meta.url));
  for (const file of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
    cpSync(join(fixture("tiny-armorm"), file), join(folder, file));
  const stated = JSON.parse(readFileSync(join(base, "config.json"), "utf8")) as Record<string, unknown>;
  const architectures = Object.keys(shapes).length === 0 ? {} : config;
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...stated, pad_token_id: null, ...architectures }));
  const weights = new Map(openSafetensors(base).tensors);
  for (const [seed, [name, shape]] of Object.entries(shapes).entries()) weights.set(name, sines(name, shape, seed));
  // How many batches a norm was trained on is stored beside it.
  for (const name of Object.keys(shapes))
    if (name.endsWith("running_var"))
      weights.set(name.replace("running_var", "num_batches_tracked"), ops.full([], 3, { dtype: "int64" }));
  writeSafetensorsFile(join(folder, "model.safetensors"), weights);
  return folder;
}

type ModelRecipe = Extract<RewardRecipe, { kind: "model" }>;
/** A reward model's part of a recipe, as the schema fills it in. */
function recipeOf(fields: Readonly<Record<string, unknown>> = {}): ModelRecipe {
  const reward = { kind: "model", name: "rm", model: "m", precision: "fp32", device: "cpu", ...fields };
  return recipeSchema.shape.rewards.parse([reward])[0] as ModelRecipe;
}

async function outcomes(files: ModelFiles, recipe: ModelRecipe, given = requests, microBatchTokens = 4096) {
  const component = rewardModelComponent(files, recipe, "rewards.0", microBatchTokens);
  const found: (ScorePart[] | string)[] = [];
  try {
    for await (const outcome of component.rate(given, new AbortController().signal))
      found[outcome.index] = "failure" in outcome ? outcome.failure : [...outcome.parts];
  } finally {
    await component.close();
  }
  return found;
}

const close = (found: readonly ScorePart[] | string | undefined, wanted: readonly number[]) => {
  expect(found).toBeInstanceOf(Array);
  const values = (found as ScorePart[]).map(({ value }) => value);
  expect(values).toHaveLength(wanted.length);
  for (const [k, value] of wanted.entries()) expect(Math.abs(values[k]! - value), `${k}`).toBeLessThan(1e-4);
};

test.each(["grm", "inform", "qwen", "urm"] as const)("%s: rewards are those of its own code", async (kind) => {
  const files = await readRewardModelFiles(folderOf(truth[kind]), "tiny");
  for (const microBatchTokens of [1, 4096]) {
    const found = await outcomes(files, recipeOf(), requests, microBatchTokens);
    for (const [index, reward] of truth[kind].rewards.entries())
      close(kind === "urm" ? found[index]?.slice(0, 1) : found[index], [reward]);
  }
});

test("URM: the means of its objectives and their gates stand beside the reward, which is their product's sum", async () => {
  const files = await readRewardModelFiles(folderOf(truth.urm), "tiny");
  for (const found of (await outcomes(files, recipeOf())) as ScorePart[][]) {
    const objectives = ["helpfulness", "correctness", "coherence", "complexity", "verbosity"];
    expect(found.map(({ name }) => name)).toEqual([
      "rm",
      ...objectives.map((each) => `rm:${each}`),
      ...objectives.map((each) => `rm:gate:${each}`),
    ]);
    const values = found.map(({ value }) => value);
    const sum = objectives.reduce((total, _, k) => total + values[1 + k]! * values[6 + k]!, 0);
    expect(Math.abs(sum - values[0]!)).toBeLessThan(1e-5);
  }
});

test("several labels: the reward is what the recipe's weights make of them, and each stands beside it by its name", async () => {
  const files = await readRewardModelFiles(folderOf(truth.labelled), "tiny");
  const label_weights = [0.5, 1, -0.25];
  const found = await outcomes(files, recipeOf({ label_weights }));
  for (const [index, labels] of truth.labelled.rewards.entries()) {
    const reward = labels.reduce((sum, label, k) => sum + label * label_weights[k]!, 0);
    close(found[index], [reward, ...labels]);
  }
  expect((found[0] as ScorePart[]).map(({ name, weight }) => [name, weight])).toEqual([
    ["rm", 1],
    ["rm:helpful", 0],
    ["rm:true", 0],
    ["rm:long", 0],
  ]);
});

test("labels and weights must belong together", async () => {
  const files = await readRewardModelFiles(folderOf(truth.labelled), "tiny");
  expect(() => rewardModelComponent(files, recipeOf(), "rewards.0")).toThrow(
    "tiny has 3 labels (helpful, true, long), and the recipe doesn't say what each counts",
  );
  expect(() => rewardModelComponent(files, recipeOf({ label_weights: [1, 2] }), "rewards.0")).toThrow(
    "these are 2 weights",
  );
  const one = await readRewardModelFiles(folderOf(truth.inform), "tiny");
  expect(() => rewardModelComponent(one, recipeOf({ label_weights: [1, 2] }), "rewards.0")).toThrow(
    "no labels to weigh",
  );
});

test("QRM: reward, objectives and gates are those of its own code", async () => {
  const files = await readRewardModelFiles(folderOf(truth.qrm), "tiny");
  for (const microBatchTokens of [60, 4096]) {
    const found = await outcomes(files, recipeOf(), requests, microBatchTokens);
    for (const [index, { score, objectives, gates }] of truth.qrm.rewards.entries())
      close(found[index], [score, ...objectives, ...gates]);
    expect((found[0] as ScorePart[]).map(({ name }) => name).slice(0, 2)).toEqual(["rm", "rm:0"]);
  }
});

describe("process rewards", () => {
  const { steps, token, rewards } = truth.process;
  const { prompt } = conversations[0]!;
  const answer = (separator: string) => steps.join(separator);
  const step = { token };

  test("each step has the probability of its own code, and the value is what the recipe makes of them", async () => {
    const files = await readRewardModelFiles(folderOf(truth.process), "tiny");
    // Two responses share two steps, so that these are computed once.
    const given = [
      asked(prompt, answer("\n\n"), 0),
      asked(prompt, `\n\n${steps.slice(0, 2).join("\n\n")}\n\n  \n\n`, 1),
    ];
    const values = {
      min: Math.min,
      last: (...all: number[]) => all.at(-1)!,
      mean: (...all: number[]) => all.reduce((a, b) => a + b) / all.length,
      product: (...all: number[]) => all.reduce((a, b) => a * b),
    };
    for (const [value, of] of Object.entries(values)) {
      const [whole, part] = await outcomes(files, recipeOf({ steps: { ...step, value } }), given);
      close(whole, [of(...rewards), ...rewards]);
      close(part, [of(...rewards.slice(0, 2)), ...rewards.slice(0, 2)]);
      expect((whole as ScorePart[]).map(({ name, weight }) => [name, weight])).toEqual([
        ["rm", 1],
        ...[1, 2, 3].map((k) => [`rm:step:${k}`, 0]),
      ]);
    }
  });

  test("a language model's labels after each step", async () => {
    const files = await readModelFiles(folderOf({ family: "llama", config: {}, shapes: {} }), "tiny");
    const recipe = recipeOf({ steps: { ...step, separator: " | ", labels: ["+", "-"], value: "last" } });
    const [found] = await outcomes(files, recipe, [asked(prompt, answer(" | "), 0)]);
    close(found, [truth.labels.rewards.at(-1)!, ...truth.labels.rewards]);
  });

  test("what has no sure steps is a failure that says why", async () => {
    const files = await readRewardModelFiles(folderOf(truth.process), "tiny");
    const given = [asked(prompt, " \n\n ", 0), asked(prompt, `one ${token} two`, 1), asked(prompt, answer("\n\n"), 2)];
    const found = await outcomes(files, recipeOf({ steps: step }), given);
    expect(found.slice(0, 2)).toEqual([
      "the response has no steps: it is empty",
      `the step token "${token}" stands 2 times in the conversation, which has 1 steps`,
    ]);
    const short = recipeOf({ steps: step, max_length: 60 });
    const [, , long] = await outcomes(files, short, given);
    expect(long).toMatch(/^the conversation has \d+ tokens, the context of tiny 60$/);
  });

  test("cut off, the steps that are left count; none left is a failure", async () => {
    const files = await readRewardModelFiles(folderOf(truth.process), "tiny");
    const given = [asked(prompt, answer("\n\n"), 0)];
    const [whole] = await outcomes(files, recipeOf({ steps: step }), given);
    expect(whole).toHaveLength(4);
    const turns = [...prompt, { role: "assistant" as const, content: steps.map((each) => each + token).join("") }];
    const ids = files.tokenizer.encodeConversation(turns);
    const ends = [...ids.keys()].filter((at) => ids[at] === files.tokenizer.tokenId(token)).map((at) => at + 1);
    const found: (ScorePart[] | string)[] = [];
    for (const max_length of [ends[0]! - 1, ends[0]!, ends[2]! - 1])
      found.push(...(await outcomes(files, recipeOf({ steps: step, max_length, overlong: "cut" }), given)));
    expect(found[0]).toBe(`no step of the response ends within ${ends[0]! - 1} tokens`);
    close(found[1], [rewards[0]!, rewards[0]!]);
    close(found[2], [Math.min(...rewards.slice(0, 2)), ...rewards.slice(0, 2)]);
  });

  test("a step token that the tokenizer doesn't have as one token is refused", async () => {
    const files = await readRewardModelFiles(folderOf(truth.process), "tiny");
    expect(() =>
      rewardModelComponent(files, recipeOf({ steps: { ...step, token: "<extra_0>" } }), "rewards.0"),
    ).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('has no token for "<extra_0>"'),
        place: expect.objectContaining({ field: "rewards.0.steps.token" }),
      }),
    );
  });

  test("steps and head must belong together", async () => {
    const files = await readRewardModelFiles(folderOf(truth.process), "tiny");
    expect(() => rewardModelComponent(files, recipeOf(), "rewards.0")).toThrow("doesn't say what its steps are");
    const whole = await readRewardModelFiles(folderOf(truth.inform), "tiny");
    expect(() => rewardModelComponent(whole, recipeOf({ steps: step }), "rewards.0")).toThrow(
      "gives one reward to a whole response",
    );
  });
});
