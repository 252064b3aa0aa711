import { z } from "zod";
import { ModelError } from "../schema/index.ts";

/** ArmoRM's gate: a small network over the prompt that says how much each objective counts. */
export interface RewardGate {
  /** Sizes from the decoder's hidden states over the hidden layers to the objectives. */
  readonly sizes: readonly number[];
  readonly temperature: number;
}

/** What reads rewards off a decoder's hidden states, in place of the output matrix. */
export interface RewardHead {
  /** As config.json names it. */
  readonly architecture: string;
  /** The tensor [outputs, hidden size] that the last token's hidden state is multiplied with. */
  readonly weight: string;
  readonly outputs: number;
  readonly gate: RewardGate | null;
  /** Is put after the conversation, and read there. */
  readonly endToken: number | null;
  /** Not taken for a text's last token, wherever it comes from: as `transformers` does. */
  readonly padToken: number | null;
}

/** Weights of the gate's layer `index`. */
export const gateLayer = (index: number): { weight: string; bias: string } => ({
  weight: `gating.layers.${index}.weight`,
  bias: `gating.layers.${index}.bias`,
});
export const gateScale = "gating.logit_scale";
export const objectiveTransform = "reward_transform_matrix";

const classification = z.looseObject({
  id2label: z.record(z.string(), z.unknown()).optional(),
  num_labels: z.int().positive().optional(),
  pad_token_id: z.int().nonnegative().nullish(),
  reward_token_id: z.int().nonnegative().nullish(),
});

const gated = z.looseObject({
  hidden_size: z.int().positive(),
  num_objectives: z.int().positive().default(19),
  gating_temperature: z.number().positive().default(10),
  gating_hidden_dim: z.int().positive().default(1024),
  gating_n_hidden: z.int().min(0).max(64).default(3),
  pad_token_id: z.int().nonnegative().nullish(),
});

type Reader = (config: Readonly<Record<string, unknown>>, architecture: string) => RewardHead;

/** Heads of the reference code of each kind, by the end of the architecture's name. */
const readers: readonly (readonly [ending: string, Reader])[] = [
  ["ForSequenceClassification", (config, architecture) => single(config, architecture, "score.weight")],
  ["InternLM2ForRewardModel", (config, architecture) => single(config, architecture, "v_head.weight")],
  ["ForRewardModelWithGating", armo],
];

function single(config: Readonly<Record<string, unknown>>, architecture: string, weight: string): RewardHead {
  const { id2label, num_labels, pad_token_id: pad, reward_token_id: end } = classification.parse(config);
  // A config that says neither stands for two labels, in `transformers` too; a head of InternLM2 has one output always.
  const labels = id2label === undefined ? (num_labels ?? 2) : Object.keys(id2label).length;
  const outputs = weight === "score.weight" ? labels : 1;
  if (outputs !== 1)
    throw new ModelError(`a reward model has one label, this classifier has ${outputs}`, {
      field: id2label === undefined ? "num_labels" : "id2label",
      hint: "Take a model that was trained to give one reward.",
    });
  return { architecture, weight, outputs, gate: null, endToken: end ?? null, padToken: pad ?? null };
}

function armo(config: Readonly<Record<string, unknown>>, architecture: string): RewardHead {
  const fields = gated.parse(config);
  const outputs = fields.num_objectives;
  const hidden = Array.from({ length: fields.gating_n_hidden }, () => fields.gating_hidden_dim);
  return {
    architecture,
    weight: "regression_layer.weight",
    outputs,
    gate: { sizes: [fields.hidden_size, ...hidden, outputs], temperature: fields.gating_temperature },
    endToken: null,
    padToken: fields.pad_token_id ?? null,
  };
}

/**
 * The head of a reward model, by the fields of its config.json; undefined for a language model.
 *
 * @throws ModelError for a classifier with several labels, ZodError for fields that can't be read.
 */
export function rewardHead(config: Readonly<Record<string, unknown>>): RewardHead | undefined {
  const architectures = z.array(z.string()).catch([]).parse(config.architectures);
  for (const architecture of architectures)
    for (const [ending, read] of readers) if (architecture.endsWith(ending)) return read(config, architecture);
  return undefined;
}

/** Tensors of a head, with their shapes. */
export function headShapes(head: RewardHead, hiddenSize: number): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>([[head.weight, [head.outputs, hiddenSize]]]);
  if (head.gate === null) return shapes;
  shapes.set(objectiveTransform, [head.outputs, head.outputs]);
  shapes.set(gateScale, [1]);
  for (const [index, size] of head.gate.sizes.slice(1).entries()) {
    const { weight, bias } = gateLayer(index);
    shapes.set(weight, [size, head.gate.sizes[index]!]).set(bias, [size]);
  }
  return shapes;
}
