import type { StepMetrics } from "../training/index.ts";

/** An evaluation in a line; all of its figures stand in the metrics. */
export function evaluationWords(evaluation: StepMetrics, total: number): string {
  const names = {
    "eval/loss": "loss",
    "eval/rewards/accuracies": "accuracy",
    "eval/rewards/margins": "margin",
    "eval/reward": "reward of its responses",
    "eval/response_tokens": "tokens of them",
  };
  const shown = Object.entries(names).flatMap(([name, word]) =>
    evaluation[name] === undefined ? [] : [`${word} ${evaluation[name].toPrecision(4)}`],
  );
  return `on the rows held out after step ${evaluation.step} of ${total}: ${shown.join(", ")}`;
}

/** Figures of a step for the person who watches, in the order of their worth. */
export function shownFigures(metrics: StepMetrics): Record<string, number> {
  const names = {
    loss: "loss",
    "rewards/margins": "margin",
    skipped_steps: "skipped",
    tokens_per_second: "tokens/s",
    gemm_share: "of the GEMM rate",
  };
  const shown = Object.entries(names).flatMap(([name, word]) =>
    metrics[name] === undefined ? [] : [[word, metrics[name]] as const],
  );
  return { ...Object.fromEntries(shown), ...("memory_bytes" in metrics ? { GB: metrics.memory_bytes! / 1e9 } : {}) };
}
