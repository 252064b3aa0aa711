import { type DecoderConfig, parameterShapes } from "../models/index.ts";
import { TrainingError } from "../schema/index.ts";
import { availableMemory } from "./available-memory.ts";

export type Compute = "fp32" | "bf16";

/** Node, libtorch and their buffers before any model is there. */
export const baseBytes = 0.5e9;
const bytesOf = { fp32: 4, bf16: 2 } as const;
/** Logits that are computed at a time, with their softmax; and the most of them that is kept for the backward. */
const logitsAtATime = 1 << 24;
const keptLogitBytes = 512 << 20;

/** Number of weights of a decoder. */
export function parameterCount(config: DecoderConfig): number {
  let count = 0;
  for (const [, shape] of parameterShapes(config)) count += shape.reduce((product, size) => product * size, 1);
  return count;
}

/** What a training computes by. */
export interface MemoryQuestion {
  readonly config: DecoderConfig;
  readonly compute: Compute;
  readonly activationCheckpointing: boolean;
}

/**
 * Bytes that training takes for each token of a micro-batch. Each layer keeps six and a half vectors of the hidden size and four
 * of each MLP that a token goes through until its backward, or one vector where activations are computed anew; the layer whose
 * backward is going on takes as much again, with its gradients. In bf16 norms and attention keep some of it in fp32. Measured
 * on models of 5 and 135 million weights; a few percent above what was found there.
 */
export function bytesPerToken({ config, compute, activationCheckpointing }: MemoryQuestion): number {
  const { hiddenSize, intermediateSize, layers, experts } = config;
  const inner = intermediateSize * (experts?.perToken ?? 1);
  const layer = (6.5 * hiddenSize + 4 * inner) * (compute === "bf16" ? 2 * 1.25 : 4);
  const kept = activationCheckpointing ? hiddenSize * bytesOf[compute] : layer;
  return layers.length * kept + (activationCheckpointing || compute === "bf16" ? 2 : 1) * layer;
}

/**
 * Bytes that training takes whatever the micro-batch, beside the fp32 weights: gradients and the two moments of AdamW (12 a
 * weight, and in bf16 2 for the copies that are computed with), three matrices of the size of the output's, and the logits.
 */
function fixedBytes({ config, compute }: MemoryQuestion): number {
  const head = config.vocabularySize * config.hiddenSize;
  return parameterCount(config) * (compute === "bf16" ? 14 : 12) + 3 * head * 4 + logitsAtATime * 10 + keptLogitBytes;
}

/** Estimated peak memory of training in bytes, for a recipe with a number of tokens a micro-batch. */
export const trainingMemory = (question: MemoryQuestion, microBatchTokens: number): number =>
  baseBytes + parameterCount(question.config) * 4 + fixedBytes(question) + microBatchTokens * bytesPerToken(question);

/** Matrix products gain nothing from more rows; the share of the free memory that may be planned with. */
const most = 8192;
const least = 256;
const usable = 0.8;

export interface MicroBatchBudget {
  readonly tokens: number;
  /** Why it is so many, in words. */
  readonly reason: string;
}

/**
 * As many tokens a micro-batch as the memory that is free now holds, once the weights are loaded: a multiple of 256, from 256
 * to 8192, of an estimate by the config (`trainingMemory`) held to 80 % of the memory. On other devices than the processor
 * 4096: what is free there can't be asked.
 *
 * @throws TrainingError where the memory can't hold a single row of `longest` tokens by twice the estimate.
 */
export function autoMicroBatchTokens(
  question: MemoryQuestion & { readonly device: string; readonly longest: number },
  free = availableMemory(),
): MicroBatchBudget {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const { device, longest } = question;
  if (device !== "cpu") return { tokens: 4096, reason: `the memory of ${device} can't be asked for` };
  const perToken = bytesPerToken(question);
  const room = usable * free - fixedBytes(question);
  const tokens = Math.min(most, Math.max(least, Math.floor(room / perToken / 256) * 256));
  const needed = fixedBytes(question) + Math.max(longest, least) * perToken;
  if (needed > 2 * free)
    throw new TrainingError(
      `a row of ${longest} tokens takes about ${gigabytes(needed)} of memory to train on, and ${gigabytes(free)} are free`,
      {
        hint: question.activationCheckpointing
          ? "Lower max_length, take a smaller model, or close other programs."
          : "Set activation_checkpointing: true, lower max_length, take a smaller model, or close other programs.",
      },
    );
  const each = `${(perToken / 1e6).toFixed(2)} MB a token`;
  const reason = `${each} and ${gigabytes(fixedBytes(question))} besides; ${gigabytes(free)} of memory are free`;
  const tight = room < Math.max(longest, least) * perToken;
  return { tokens, reason: tight ? `${reason}, which is scarce for the longest row, of ${longest} tokens` : reason };
}
