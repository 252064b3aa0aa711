import { join } from "node:path";
import { z } from "zod";
import { openSafetensors } from "../../nn/index.ts";
import { amended, ModelError } from "../../schema/index.ts";
import { type Tokenizer, tokenizerFromFolder } from "../../tokenizers/index.ts";
import type { DType, Tensor } from "../../torch/index.ts";
import { assertRows, configHint, parsed, readConfig } from "../config-file.ts";
import { digestFiles } from "../digest.ts";
import { placeParts, readStored } from "../stored-weights.ts";
import { type DebertaConfig, debertaConfig } from "./config.ts";
import { debertaShapes } from "./encoder.ts";

/** PairRM (LLM-Blender, arXiv 2306.02561): a DeBERTa that reads a source and two candidates, and a head that compares these. */
export interface PairRanker {
  readonly encoder: DebertaConfig;
  /** Ids of the tokens that stand before source, first and second candidate, where the head looks. */
  readonly marks: { readonly source: number; readonly first: number; readonly second: number };
  /** Numbers that the head gives to a candidate, whose mean counts. */
  readonly tasks: number;
}

/** Config and tokenizer of a pair ranker whose weights may be read later. */
export interface PairRankerFiles {
  readonly label: string;
  readonly path: string;
  readonly ranker: PairRanker;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizer: Tokenizer;
  readonly digest: string;
  /** Numbers in its weights. */
  readonly size: number;
  weights(dtype: DType): Map<string, Tensor>;
}

/** What the encoder's weights are called in a pair ranker. */
export const encoderPrefix = "pretrained_model.";
/** Its head: two linear layers, tanh between them. */
export const headLayers = ["head_layer.1", "head_layer.4"] as const;

const id = z.int().nonnegative();
const rankerSchema = z.looseObject({
  n_tasks: z.int().positive().default(1),
  source_prefix_id: id,
  cand1_prefix_id: id,
  cand2_prefix_id: id,
});

/**
 * Whether a config.json is a pair ranker's.
 *
 * @throws ModelError for one in LLM-Blender's own layout, which doesn't say what its encoder is.
 */
export function isPairRanker(config: Readonly<Record<string, unknown>>, file: string): boolean {
  if (config.ranker_type === "pairranker")
    throw new ModelError("the ranker is in LLM-Blender's own layout, which doesn't say what its encoder looks like", {
      file,
      field: "ranker_type",
      hint: "Take llm-blender/PairRM-hf: the same model in the layout of Hugging Face.",
    });
  return z.array(z.string()).catch([]).parse(config.architectures).includes("DebertaV2PairRM");
}

function rankerOf(config: unknown): PairRanker {
  const { n_tasks: tasks, source_prefix_id: source, ...fields } = rankerSchema.parse(config);
  return {
    encoder: debertaConfig(config),
    marks: { source, first: fields.cand1_prefix_id, second: fields.cand2_prefix_id },
    tasks,
  };
}

/** Shapes of all of its weights, the encoder's and the head's. */
function shapesOf({ encoder, tasks }: PairRanker): Map<string, readonly number[]> {
  const { hiddenSize: h } = encoder;
  const shapes = new Map<string, readonly number[]>();
  for (const [name, shape] of debertaShapes(encoder)) shapes.set(`${encoderPrefix}${name}`, shape);
  for (const [layer, [to, from]] of [[headLayers[0], [h, 2 * h]] as const, [headLayers[1], [tasks, h]] as const])
    shapes.set(`${layer}.weight`, [to, from]).set(`${layer}.bias`, [to]);
  return shapes;
}

/**
 * Config and tokenizer of a pair ranker's Hugging Face folder; the weights are read when asked for.
 *
 * @throws ModelError when a file is missing, damaged or of another make than PairRM, or the parts don't fit together.
 */
export async function readPairRankerFiles(folder: string, label: string): Promise<PairRankerFiles> {
  const file = join(folder, "config.json");
  const config = readConfig(folder);
  const ranker = amended({ file }, () => parsed(() => rankerOf(config), config, file, configHint));
  const tokenizer = await tokenizerFromFolder(folder);
  assertRows(ranker.encoder, tokenizer, folder);
  const stored = openSafetensors(folder);
  // Older releases of `transformers` store the numbers of the positions.
  const needless = (name: string) => name === `${encoderPrefix}embeddings.position_ids`;
  const shapes = shapesOf(ranker);
  const placed = placeParts(stored.tensors, shapes, (name) => ({ names: [name] }), needless, folder);
  return {
    label,
    path: folder,
    ranker,
    config,
    tokenizer,
    digest: digestFiles([file, ...stored.files]),
    size: [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((product, side) => product * side, 1), 0),
    weights: (dtype) => readStored(placed, dtype, stored.release),
  };
}
