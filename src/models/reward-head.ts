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

/** A small network over the prompt that says how much each objective counts: ArmoRM's, and QRM's. */
export interface RewardGate {
  /** ReLU between them. */
  readonly layers: readonly HeadLayer[];
  readonly temperature: number;
}

/** What reads rewards off a decoder's hidden states, in place of the output matrix. */
export interface RewardHead {
  /** As config.json names it. */
  readonly architecture: string;
  /** From a hidden state to `outputs` times `quantiles` numbers, ReLU between them. */
  readonly layers: readonly HeadLayer[];
  /** Rewards: one, or an objective each; of a process reward the step's bad and its good label. */
  readonly outputs: number;
  /** Each reward is the mean of so many quantiles of its distribution. */
  readonly quantiles: number;
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
  ["ForSequenceClassification", (config, architecture) => single(config, architecture, "score.weight")],
  ["InternLM2ForRewardModel", (config, architecture) => single(config, architecture, "v_head.weight")],
  ["ForRewardModelWithGating", gatedHead],
  ["ForRewardModelWithGating31", gatedHead],
  ["ForRewardModelWithGating3", gatedHead],
];

const plain = { quantiles: 1, gate: null, process: false, endToken: null, padToken: null } as const;

const layer = (weight: string, bias: string | null, from: number, to: number, norm: string | null = null) =>
  ({ weight, bias, sizes: [from, to], norm }) as const;

/** How many labels a config states; one that says nothing stands for two, in `transformers` too. */
const labelsOf = ({ id2label, num_labels }: z.infer<typeof common>): number =>
  id2label === undefined ? (num_labels ?? 2) : Object.keys(id2label).length;

function single(config: Config, architecture: string, weight: string): RewardHead {
  const fields = common.parse(config);
  const { hidden_size: size, id2label, pad_token_id: pad, reward_token_id: end } = fields;
  // A head of InternLM2 has one output always.
  const outputs = weight === "score.weight" ? labelsOf(fields) : 1;
  if (outputs !== 1)
    throw new ModelError(`a reward model has one label, this classifier has ${outputs}`, {
      field: id2label === undefined ? "num_labels" : "id2label",
      hint: "Take a model that was trained to give one reward.",
    });
  const layers = [layer(weight, null, size, outputs)];
  return { ...plain, architecture, layers, outputs, endToken: end ?? null, padToken: pad ?? null };
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
    quantiles,
    gate: { layers, temperature: fields.gating_temperature },
    padToken: fields.pad_token_id ?? null,
  };
}

/**
 * The head of a reward model, by the fields of its config.json; undefined for a language model.
 *
 * @throws ModelError for a classifier with several labels, ZodError for fields that can't be read.
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
  if (gate !== null) shapes.set(objectiveTransform, [outputs, outputs]).set(gateScale, [1]);
  return shapes;
}
