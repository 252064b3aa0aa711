import { z } from "zod";
import { ModelError } from "../schema/index.ts";

/** A linear layer by the names of its tensors, from `sizes[0]` numbers to `sizes[1]`. */
export interface HeadLayer {
  readonly weight: string;
  readonly bias: string | null;
  readonly sizes: readonly [from: number, to: number];
  /** What the names of its batch norm's tensors begin with, where one follows the ReLU. */
  readonly norm: string | null;
}

/** A small network that says how much each objective counts. */
export interface RewardGate {
  readonly layers: readonly HeadLayer[];
  readonly activation: "relu" | "selu";
  /** Of ArmoRM and QRM, whose gate looks at the prompt's end and is a softmax; URM's looks at the text's end, and is taken as it is. */
  readonly overPrompt: { readonly temperature: number } | null;
}

/** What reads rewards off a decoder's hidden states, in place of the output matrix. */
export interface RewardHead {
  /** As config.json names it. */
  readonly architecture: string;
  /** From a hidden state to `outputs` distributions, ReLU between them. */
  readonly layers: readonly HeadLayer[];
  /** Rewards: one, or an objective or label each; of a process reward the step's bad and its good label. */
  readonly outputs: number;
  /** The names of several labels or objectives, where the config or the reference code has some. */
  readonly names: readonly string[];
  /** The numbers of each output: the reward itself, `count` quantiles of its distribution, or mean and spread of a normal one. */
  readonly distribution: { readonly kind: "value" | "quantiles" | "normal"; readonly count: number };
  readonly gate: RewardGate | null;
  /** Whether it is read after each step of a response, not at its end. */
  readonly process: boolean;
  /** Is put after the conversation, and read there. */
  readonly endToken: number | null;
  /** Not taken for a text's last token, wherever it comes from: as `transformers` does. */
  readonly padToken: number | null;
}

export const gateScale = "gating.logit_scale";
export const objectiveTransform = "reward_transform_matrix";
export const normTensors = ["weight", "bias", "running_mean", "running_var"] as const;

type Config = Readonly<Record<string, unknown>>;
type Reader = (config: Config, architecture: string) => RewardHead;

const common = z.looseObject({
  hidden_size: z.int().positive(),
  id2label: z.record(z.string(), z.unknown()).optional(),
  num_labels: z.int().positive().optional(),
  pad_token_id: z.int().nonnegative().nullish(),
  reward_token_id: z.int().nonnegative().nullish(),
});

const gated = z.looseObject({
  hidden_size: z.int().positive(),
  num_objectives: z.int().positive().default(19),
  num_quantiles: z.int().positive().optional(),
  gating_temperature: z.number().positive().default(10),
  gating_hidden_dim: z.int().positive().default(1024),
  gating_n_hidden: z.int().min(0).max(64).default(3),
  pad_token_id: z.int().nonnegative().nullish(),
});

const valued = z.looseObject({
  hidden_size: z.int().positive(),
  vhead_layer_type: z.enum(["mlp", "linear"]),
  vhead_num_neurons: z.int().positive().default(1024),
  vhead_num_layers: z.int().min(1).max(64).default(1),
  pad_token_id: z.int().nonnegative().nullish(),
});

/** Heads of the reference code of each kind, by the end of the architecture's name; the first that fits. */
const readers: readonly (readonly [ending: string, Reader])[] = [
  ["INFORMForSequenceClassification", (config, architecture) => perceptron(config, architecture, 1)],
  ["Qwen2ForRewardModel", (config, architecture) => perceptron(config, architecture, 1)],
  ["ForProcessRewardModel", (config, architecture) => perceptron(config, architecture, 2)],
  ["ForSequenceClassificationWithNormal_Weights", normalHead],
  ["ForSequenceClassification", (config, architecture) => linearHead(config, architecture, "score.weight")],
  ["InternLM2ForRewardModel", (config, architecture) => linearHead(config, architecture, "v_head.weight")],
  ["ForRewardModelWithGating", gatedHead],
  ["ForRewardModelWithGating31", gatedHead],
  ["ForRewardModelWithGating3", gatedHead],
];

const value = { kind: "value", count: 1 } as const;
const plain = { names: [], distribution: value, gate: null, process: false, endToken: null, padToken: null } as const;

const layer = (weight: string, bias: string | null, from: number, to: number, norm: string | null = null) =>
  ({ weight, bias, sizes: [from, to], norm }) as const;

/** How many labels a config states; one that says nothing stands for two, in `transformers` too. */
const labelsOf = ({ id2label, num_labels }: z.infer<typeof common>): number =>
  id2label === undefined ? (num_labels ?? 2) : Object.keys(id2label).length;

/** One label, or several that the recipe weighs. */
function linearHead(config: Config, architecture: string, weight: string): RewardHead {
  const fields = common.parse(config);
  const { hidden_size: size, pad_token_id: pad, reward_token_id: end } = fields;
  // A head of InternLM2 has one output always.
  const outputs = weight === "score.weight" ? labelsOf(fields) : 1;
  const names = outputs === 1 ? [] : labelNames(fields);
  const layers = [layer(weight, null, size, outputs)];
  return { ...plain, architecture, layers, outputs, names, endToken: end ?? null, padToken: pad ?? null };
}

/** The labels by their names, unless these are `transformers`' own LABEL_0, LABEL_1, ... */
function labelNames({ id2label = {} }: z.infer<typeof common>): string[] {
  const names = Object.keys(id2label)
    .sort((a, b) => Number(a) - Number(b))
    .map((id) => `${id2label[id]}`);
  return names.some((name) => /^LABEL_\d+$/u.test(name)) || new Set(names).size < names.length ? [] : names;
}

/** What HelpSteer2 rates, in the order in which URM was trained on it. */
const helpSteer = ["helpfulness", "correctness", "coherence", "complexity", "verbosity"];

/** URM (Lou et al. 2024, arXiv 2410.00847): two numbers for each objective, mean and spread, and a gate over the text's end that weighs the means. */
function normalHead(config: Config, architecture: string): RewardHead {
  const fields = common.parse(config);
  const { hidden_size: size, pad_token_id: pad } = fields;
  const numbers = labelsOf(fields);
  if (numbers % 2 === 1)
    throw new ModelError(`means and spreads of objectives come in pairs, this head has ${numbers} labels`, {
      field: fields.id2label === undefined ? "num_labels" : "id2label",
    });
  const outputs = numbers / 2;
  const gate = [0, 2, 4].map((at) =>
    layer(`weights.fc.${at}.weight`, `weights.fc.${at}.bias`, size, at === 4 ? outputs : size),
  );
  return {
    ...plain,
    architecture,
    layers: [layer("score.weight", null, size, numbers)],
    outputs,
    names: outputs === helpSteer.length ? helpSteer : [],
    distribution: { kind: "normal", count: 2 },
    gate: { layers: gate, activation: "selu", overPrompt: null },
    padToken: pad ?? null,
  };
}

/** Two layers, as large as the hidden states between them: INF-ORM, Qwen2.5's and WorldPM's reward models, Qwen2.5's process rewards. */
function perceptron(config: Config, architecture: string, outputs: 1 | 2): RewardHead {
  const fields = common.parse(config);
  const { hidden_size: size, pad_token_id: pad } = fields;
  if (outputs === 2 && labelsOf(fields) !== 2)
    throw new ModelError(`a process reward has a bad label and a good one, this one has ${labelsOf(fields)}`, {
      field: fields.id2label === undefined ? "num_labels" : "id2label",
      hint: "Take a model that was trained to tell good steps from bad ones.",
    });
  const layers = [
    layer("score.0.weight", "score.0.bias", size, size),
    layer("score.2.weight", "score.2.bias", size, outputs),
  ];
  return { ...plain, architecture, layers, outputs, process: outputs === 2, padToken: pad ?? null };
}

/** The value head of GRM (Yang et al. 2024, "Regularizing Hidden States ..."): a network of its own size. */
function valueHead(config: Config, architecture: string): RewardHead {
  const { hidden_size: size, ...fields } = valued.parse(config);
  const { vhead_layer_type: type, vhead_num_neurons: neurons, vhead_num_layers: count } = fields;
  const name = (index: number) => `v_head.summary.${2 * index}`;
  const layers =
    type === "linear"
      ? [layer("v_head.summary.weight", "v_head.summary.bias", size, 1)]
      : Array.from({ length: count + 1 }, (_, index) =>
          layer(
            `${name(index)}.weight`,
            `${name(index)}.bias`,
            index === 0 ? size : neurons,
            index === count ? 1 : neurons,
          ),
        );
  return { ...plain, architecture, layers, outputs: 1, padToken: fields.pad_token_id ?? null };
}

/** What ArmoRM's 19 outputs were trained to predict, in their order: data set and rating. */
const armoObjectives = [
  "helpsteer-helpfulness",
  "helpsteer-correctness",
  "helpsteer-coherence",
  "helpsteer-complexity",
  "helpsteer-verbosity",
  "ultrafeedback-overall_score",
  "ultrafeedback-instruction_following",
  "ultrafeedback-truthfulness",
  "ultrafeedback-honesty",
  "ultrafeedback-helpfulness",
  "beavertails-is_safe",
  "prometheus-score",
  "argilla-overall_quality",
  "argilla-judge_lm",
  "code-complexity",
  "code-style",
  "code-explanation",
  "code-instruction-following",
  "code-readability",
];

/** ArmoRM; with `num_quantiles` QRM (Dorka 2024), whose gate has a batch norm after each ReLU and no biases but the last layer's. */
function gatedHead(config: Config, architecture: string): RewardHead {
  const fields = gated.parse(config);
  const { hidden_size: size, num_objectives: outputs, gating_hidden_dim: hidden, gating_n_hidden: count } = fields;
  const isQuantile = fields.num_quantiles !== undefined;
  const quantiles = fields.num_quantiles ?? 1;
  const layers = Array.from({ length: count + 1 }, (_, index) => {
    const name = `gating.layers.${index * (isQuantile ? 3 : 1)}`;
    const isLast = index === count;
    return layer(
      `${name}.weight`,
      isQuantile && !isLast ? null : `${name}.bias`,
      index === 0 ? size : hidden,
      isLast ? outputs : hidden,
      isQuantile && !isLast ? `gating.layers.${3 * index + 2}` : null,
    );
  });
  return {
    ...plain,
    architecture,
    layers: [layer("regression_layer.weight", null, size, outputs * quantiles)],
    outputs,
    names: outputs === armoObjectives.length ? armoObjectives : [],
    distribution: isQuantile ? { kind: "quantiles", count: quantiles } : value,
    gate: { layers, activation: "relu", overPrompt: { temperature: fields.gating_temperature } },
    padToken: fields.pad_token_id ?? null,
  };
}

/**
 * The head of a reward model, by the fields of its config.json; undefined for a language model.
 *
 * @throws ModelError for labels that a head of its kind can't have, ZodError for fields that can't be read.
 */
export function rewardHead(config: Config): RewardHead | undefined {
  const architectures = z.array(z.string()).catch([]).parse(config.architectures);
  if (config.vhead_layer_type !== undefined) return valueHead(config, architectures[0] ?? "a model with a value head");
  for (const architecture of architectures)
    for (const [ending, read] of readers) if (architecture.endsWith(ending)) return read(config, architecture);
  return undefined;
}

/** Tensors of a head, with their shapes. */
export function headShapes({ layers, gate, outputs }: RewardHead): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const { weight, bias, sizes, norm } of [...layers, ...(gate?.layers ?? [])]) {
    const [from, to] = sizes;
    shapes.set(weight, [to, from]);
    if (bias !== null) shapes.set(bias, [to]);
    if (norm !== null) for (const tensor of normTensors) shapes.set(`${norm}.${tensor}`, [to]);
  }
  if (gate?.overPrompt != null) shapes.set(objectiveTransform, [outputs, outputs]).set(gateScale, [1]);
  return shapes;
}
