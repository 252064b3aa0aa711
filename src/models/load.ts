import { statSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors, resolvePrecision } from "../nn/index.ts";
import type { ModelRecipe } from "../schema/index.ts";
import { amended, contentKey, EnvironmentError, ModelError } from "../schema/index.ts";
import { type Tokenizer, tokenizerFromFolder, tokenizerFromGguf } from "../tokenizers/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { ops, trimMemory } from "../torch/index.ts";
import { adaptedFiles, baseAndAdapter } from "./adapted-files.ts";
import type { DecoderConfig } from "./config.ts";
import { assertRows, configHint, parsed, readConfig } from "./config-file.ts";
import { isPairRanker, type PairRankerFiles, readPairRankerFiles } from "./deberta/index.ts";
import type { Decoder } from "./decoder.ts";
import { digestFiles } from "./digest.ts";
import { type Family, familyOfConfig } from "./families/index.ts";
import { readGguf } from "./gguf/index.ts";
import { configFromGguf, placeWeights, weightsFromGguf } from "./gguf-model.ts";
import { type LocateOptions, locateModel } from "./locate/index.ts";
import { headShapes, type RewardHead, rewardHead } from "./reward-head.ts";
import { placeStored, readStored } from "./stored-weights.ts";

/** A model with its tokenizer, ready to compute. */
export interface LoadedModel {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  /** SHA-256 of what decides its outputs: weights and config, whatever the precision. */
  readonly digest: string;
  /** See `modelIdentity`. */
  readonly identity: string;
  /** The name a person gave it. */
  readonly label: string;
  readonly dtype: DType;
  /** Fields of its Hugging Face `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Config and tokenizer of a model whose weights may be read later. */
export interface ModelFiles {
  readonly label: string;
  readonly path: string;
  readonly family: Family;
  readonly decoderConfig: DecoderConfig;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizer: Tokenizer;
  readonly digest: string;
  weights(dtype: DType): Map<string, Tensor>;
}

/** A reward model's: among the weights are those of its head, and no output matrix. */
export interface RewardModelFiles extends ModelFiles {
  readonly head: RewardHead;
}

async function filesOfFolder<Head extends RewardHead | undefined>(
  folder: string,
  label: string,
  chatTemplate: string | undefined,
  headOf: (config: Readonly<Record<string, unknown>>, file: string) => Head,
): Promise<ModelFiles & { readonly head: Head }> {
  const file = join(folder, "config.json");
  const stated = readConfig(folder);
  const family = familyOfConfig(stated.model_type, file);
  const head = headOf(stated, file);
  const plain = parsed(() => family.parse(stated), stated, file, configHint);
  // A reward model's output matrix is never read, so none has to be there.
  const decoderConfig = head === undefined ? plain : { ...plain, tied: true };
  const config = family.folder?.config(stated) ?? stated;
  const tokenizer = await tokenizerFromFolder(folder, { chatTemplate });
  assertRows(decoderConfig, tokenizer, folder);
  const stored = openSafetensors(folder);
  const heads = head === undefined ? undefined : headShapes(head);
  const placed = placeStored(stored.tensors, family, decoderConfig, folder, heads);
  return {
    label,
    path: folder,
    family,
    decoderConfig,
    head,
    config,
    tokenizer,
    digest: digestFiles([file, ...stored.files]),
    weights: (dtype) => readStored(placed, dtype, stored.release),
  };
}

const metadataHint = "The metadata are damaged or of another kind of model: convert it again, or take another file.";

function filesOfGguf(path: string, label: string, chatTemplate: string | undefined): ModelFiles {
  const gguf = readGguf(path);
  const { family, config } = parsed(() => configFromGguf(gguf), undefined, path, metadataHint);
  const decoderConfig = parsed(() => family.parse(config), config, path, metadataHint);
  const tokenizer = tokenizerFromGguf(gguf.metadata, path, { chatTemplate });
  assertRows(decoderConfig, tokenizer, path);
  const placed = placeWeights(gguf, family, decoderConfig);
  return {
    label,
    path,
    family,
    decoderConfig,
    config: { ...config, ...specialIds(tokenizer) },
    tokenizer,
    digest: digestFiles([path]),
    weights: (dtype) => weightsFromGguf(gguf, placed, family, decoderConfig, dtype),
  };
}

const specialIds = ({ bosId, eosId, padId }: Tokenizer) => ({
  ...(bosId === undefined ? {} : { bos_token_id: bosId }),
  ...(eosId === undefined ? {} : { eos_token_id: eosId }),
  ...(padId === undefined ? {} : { pad_token_id: padId }),
});

/**
 * Config and tokenizer of a Hugging Face folder or GGUF file; the weights are read when asked for.
 *
 * @throws ModelError when a file is missing, damaged, of an unknown architecture, or the parts don't fit together.
 */
export async function readModelFiles(path: string, label: string, chatTemplate?: string): Promise<ModelFiles> {
  if (isFile(path)) return filesOfGguf(path, label, chatTemplate);
  return filesOfFolder(path, label, chatTemplate, (config, file) => {
    const head = headIn(config, file);
    if (head === undefined) return undefined;
    throw new ModelError(`${head.architecture} is a reward model: it writes no text`, {
      file,
      field: "architectures",
      hint: "Name it under `rewards` as {kind: model, name, model}, and a language model here.",
    });
  });
}

/**
 * Config, head and tokenizer of a reward model's Hugging Face folder, of any kind that `rewardHead` knows;
 * the weights are read when asked for.
 *
 * @throws ModelError as `readModelFiles`, and for what is no reward model.
 */
export async function readRewardModelFiles(
  path: string,
  label: string,
  chatTemplate?: string,
): Promise<RewardModelFiles> {
  if (isFile(path))
    throw new ModelError("reward models are read from Hugging Face folders, not from GGUF files", {
      file: path,
      hint: "Take the model's original folder.",
    });
  return filesOfFolder(path, label, chatTemplate, (config, file) => {
    const head = headIn(config, file);
    if (head !== undefined) return head;
    const stated = JSON.stringify(config.architectures ?? null);
    throw new ModelError(`no reward model is known by these architectures: ${stated}`, {
      file,
      field: "architectures",
      hint: "Known: ...ForSequenceClassification with one label, ...ForRewardModel of InternLM2 and Qwen2, ...ForProcessRewardModel, ...ForRewardModelWithGating (ArmoRM, QRM), DebertaV2PairRM, value heads (vhead_layer_type). A language model can rate as {kind: judge}, and steps with `steps.labels`.",
    });
  });
}

/** A reward model's files, or those of a model that compares. @throws ModelError as `readRewardModelFiles` and `readPairRankerFiles` */
export async function readJudgingFiles(
  path: string,
  label: string,
  chatTemplate?: string,
): Promise<RewardModelFiles | PairRankerFiles> {
  if (!isFile(path) && isPairRanker(readConfig(path), join(path, "config.json")))
    return readPairRankerFiles(path, label);
  return readRewardModelFiles(path, label, chatTemplate);
}

const headIn = (config: Readonly<Record<string, unknown>>, file: string) =>
  amended({ file }, () => parsed(() => rewardHead(config), config, file, configHint));

const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

/** How a recipe wants a model computed. */
export type ComputeRecipe = Pick<ModelRecipe, "precision" | "device">;

/** The type that a recipe's precision stands for on this machine. */
export const dtypeOf = ({ precision, device }: ComputeRecipe): "bfloat16" | "float32" =>
  resolvePrecision(precision, device) === "bf16" ? "bfloat16" : "float32";

/** Digest of what decides the model's answers: weights, config, tokenizer with chat template, and compute type. Part of content keys. */
export function modelIdentity(
  { digest, tokenizer }: Pick<ModelFiles, "digest" | "tokenizer">,
  recipe: ComputeRecipe,
): string {
  return contentKey({ digest, tokenizer: contentKey(tokenizer.files()), dtype: dtypeOf(recipe) });
}

/** @throws EnvironmentError for a device on which nothing can be computed here */
function checkDevice(device: string): void {
  if (device === "cpu") return;
  try {
    ops.zeros([1], { device }).dispose();
  } catch (cause) {
    throw new EnvironmentError(`there is no device ${JSON.stringify(device)} to compute on`, {
      field: "device",
      cause,
      hint: "It is cpu, or cuda or cuda:1 where libtorch is built for CUDA and such a card answers: `amalgam doctor` says whether one does.",
    });
  }
}

/**
 * Reads the weights in a compute type and on a device.
 *
 * @throws EnvironmentError for a device that isn't there.
 */
export function loadWeights(files: Pick<ModelFiles, "weights">, recipe: ComputeRecipe): Map<string, Tensor> {
  checkDevice(recipe.device);
  const dtype = dtypeOf(recipe);
  const parameters = files.weights(dtype);
  if (recipe.device !== "cpu")
    for (const [name, weight] of parameters) {
      parameters.set(name, weight.to(recipe.device, dtype));
      weight.dispose();
    }
  return parameters;
}

/** A model with its weights. @throws EnvironmentError as `loadWeights` */
export function loadFiles(files: ModelFiles, recipe: ComputeRecipe): LoadedModel {
  const parameters = loadWeights(files, recipe);
  const { tokenizer, digest, label, config } = files;
  return {
    decoder: { config: files.decoderConfig, parameters },
    tokenizer,
    digest,
    identity: modelIdentity(files, recipe),
    label,
    dtype: dtypeOf(recipe),
    config,
  };
}

/** Finds (and fetches, where it must) the model that a recipe names; its weights are read later. */
export async function findModel(recipe: ModelRecipe, options: LocateOptions): Promise<ModelFiles> {
  const { base, baseFolder, adapter } = baseAndAdapter(recipe, options.baseFolder);
  const located = await locateModel(base, { ...options, baseFolder });
  const files = await readModelFiles(located.path, located.label, recipe.chat_template);
  return adapter === undefined ? files : adaptedFiles(files, adapter, recipe.chat_template);
}

/** The same for a reward model, or one that compares. */
export async function findRewardModel(
  recipe: Pick<ModelRecipe, "model" | "chat_template">,
  options: LocateOptions,
): Promise<RewardModelFiles | PairRankerFiles> {
  const located = await locateModel(recipe.model, options);
  return readJudgingFiles(located.path, located.label, recipe.chat_template);
}

/** Finds the model that a recipe names, and reads it. */
export async function openModel(recipe: ModelRecipe, options: LocateOptions): Promise<LoadedModel> {
  return loadFiles(await findModel(recipe, options), recipe);
}

/** Frees the weights. */
export function disposeModel({ decoder }: Pick<LoadedModel, "decoder">): void {
  for (const weight of decoder.parameters.values()) weight.dispose();
  trimMemory();
}
