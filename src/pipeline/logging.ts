import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { contentKey, type LoggingRecipe } from "../schema/index.ts";
import { type MetricsSink, type StepMetrics, tensorBoardSink, wandbSink } from "../training/index.ts";

interface Logged {
  /** The JSONL file of the training; the sinks' folders stand beside it. */
  readonly metrics: string;
  /** Which training of the folder it is. */
  readonly label: string;
  /** What people call the training. */
  readonly name: string;
  /** Digest of all that decides the training. */
  readonly inputs: string;
  readonly config: object;
}

/** Where a training's metrics go beside their JSONL file, as the recipe says. */
function openSinks({ tensorboard, wandb }: LoggingRecipe, logged: Logged): MetricsSink {
  const folder = dirname(logged.metrics);
  const sinks: MetricsSink[] = [];
  if (tensorboard) sinks.push(tensorBoardSink(join(folder, "tensorboard", logged.label)));
  if (wandb !== undefined) {
    const { project, entity, name = logged.name, group, tags } = wandb;
    const run = {
      project,
      name,
      tags,
      id: contentKey([folder, logged.label, logged.inputs]).slice(0, 12),
      config: { ...logged.config },
      ...(entity === undefined ? {} : { entity }),
      ...(group === undefined ? {} : { group }),
    };
    sinks.push(wandbSink(join(folder, "wandb"), { run, earlier: () => writtenMetrics(logged.metrics) }));
  }
  return {
    write: (metrics) => {
      for (const sink of sinks) sink.write(metrics);
    },
    close: (finished) => {
      for (const sink of sinks) sink.close(finished);
    },
  };
}

/** A training with its sinks: what it gives to `write` goes to all, and they are closed however it ends. */
export async function withSinks<Summary extends { readonly finished: boolean }>(
  recipe: LoggingRecipe,
  logged: Logged,
  training: (write: (metrics: StepMetrics) => void) => Promise<Summary>,
): Promise<Summary> {
  const sinks = openSinks(recipe, logged);
  let finished = false;
  try {
    const summary = await training((metrics) => sinks.write(metrics));
    finished = summary.finished;
    return summary;
  } finally {
    sinks.close(finished);
  }
}

const writtenMetrics = (file: string): StepMetrics[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as StepMetrics);
