import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { DecoderConfig } from "../models/index.ts";
import { fp32Rate, machineRates } from "../nn/index.ts";
import { replaceFile } from "../schema/index.ts";
import type { Bundle } from "../scoring/index.ts";
import type { DType } from "../torch/index.ts";
import { flopCounter, type TrainedPart } from "./flops.ts";

/** One optimiser step's figures, under the names that the community plots. */
export type StepMetrics = Readonly<Record<string, number>> & { readonly step: number };

/** A JSONL file with a line a step. */
export interface MetricsFile {
  /** `skippedRows` names the rows for whose sake the step was skipped. */
  write(metrics: StepMetrics, skippedRows?: readonly string[]): void;
}

/** Opens the file for a training that goes on after `step` steps: later lines, of steps that will be done again, are dropped. */
export function openMetrics(file: string, step: number): MetricsFile {
  mkdirSync(dirname(file), { recursive: true });
  const kept =
    existsSync(file) && step > 0
      ? readFileSync(file, "utf8")
          .split("\n")
          .filter((line) => line !== "" && stepOf(line) <= step)
      : [];
  replaceFile(file, kept.map((line) => `${line}\n`).join(""));
  return {
    write: (metrics, skipped_rows) => appendFileSync(file, `${JSON.stringify({ ...metrics, skipped_rows })}\n`),
  };
}

/** A line that was cut off by a kill belongs to no step. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as StepMetrics).step;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

export interface MeterOptions {
  readonly config: DecoderConfig;
  /** Compute type, and the device that computes. */
  readonly dtype: DType;
  readonly device: string;
  readonly trained: TrainedPart;
  /** Steps that were done before. */
  readonly from: number;
  readonly totalSteps: number;
}

/** What a step cost: `bundles` are those that it was computed on, `seconds` what it took without evaluation and checkpoints. */
export type StepMeter = (
  done: number,
  bundles: readonly Bundle[],
  seconds: number,
) => Readonly<Record<CostMetric, number>> & { readonly gemm_share?: number };

type CostMetric = "tokens" | "seconds" | "tokens_per_second" | "memory_bytes" | "peak_memory_bytes" | "seconds_left";

/**
 * Measures steps: tokens and seconds, the memory that the process has and had at most, the time left by the pace since the
 * start (evaluations and checkpoints included), and on the processor the share of the machine's rate of matrix products that
 * the operations of the step come to (`flopCounter`, `machineRates`).
 */
export function stepMeter({ config, dtype, device, trained, from, totalSteps }: MeterOptions): StepMeter {
  const start = performance.now();
  const count = flopCounter(config, trained);
  const rate = device === "cpu" ? processorRate(dtype) : undefined;
  return (done, bundles, seconds) => {
    const { tokens, needed } = count(bundles);
    const elapsed = (performance.now() - start) / 1000;
    return {
      tokens,
      seconds,
      tokens_per_second: tokens / seconds,
      ...(rate === undefined ? {} : { gemm_share: needed / seconds / rate }),
      memory_bytes: process.memoryUsage.rss(),
      peak_memory_bytes: process.resourceUsage().maxRSS * 1024,
      seconds_left: (elapsed / (done - from)) * (totalSteps - done),
    };
  };
}

/** Operations a second of matrix products in this type; undefined where they are not measured. */
function processorRate(dtype: DType): number | undefined {
  if (dtype !== "float32" && dtype !== "bfloat16") return undefined;
  const rates = machineRates();
  return (dtype === "bfloat16" ? rates.bf16 : fp32Rate(rates)) * 1e9;
}
