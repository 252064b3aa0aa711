// Seconds, log-likelihoods, metrics and figures of a task's first documents.
//   node bench/tasks.mjs --model FOLDER --task arc_challenge --data FOLDER [--shots 25] [--limit 100] [--precision fp32|bf16]
import { createHash } from "node:crypto";
import { figuresOf, promptsOf, readTaskData, tasks } from "amalgam/evaluation";
import { Engine, randomStream, responsesOf, textOf, textStopper } from "amalgam/generation";
import { loadFiles, readModelFiles } from "amalgam/models";
import { continuationLogProbs, encodePair, plainReading } from "amalgam/scoring";
import { options } from "./lib/options.mjs";
import { report, timed } from "./lib/worker.mjs";

const asked = options({
  model: "",
  task: "",
  data: "",
  shots: -1,
  limit: 100,
  precision: "fp32",
  "micro-batch-tokens": 1024,
});
const task = tasks.get(asked.task);
const shots = asked.shots < 0 ? task.shots : asked.shots;
const { documents, pool } = await readTaskData(task, asked.data, { shots, limit: asked.limit });
const files = await readModelFiles(asked.model, asked.task);
const model = loadFiles(files, { precision: asked.precision, device: "cpu" });
const reading = plainReading(files);

async function likelihoods(prompts) {
  const replies = [];
  const sets = prompts.map(({ requests }) =>
    requests.map(({ context, continuation }) => encodePair(reading, context, continuation)),
  );
  for await (const { set, logProbs } of continuationLogProbs(model.decoder, sets, asked["micro-batch-tokens"]))
    replies[set] = logProbs;
  return replies;
}

async function writings(prompts) {
  const ends = { stops: task.until };
  const engine = new Engine(model.decoder);
  const replies = [];
  const requests = prompts.map(({ requests: [{ context }] }) => ({
    prompt: reading.encode(context).slice(-(engine.room - task.maxTokens)),
    streams: [randomStream("task")],
    sampler: { temperature: 0, topP: 1, topK: 0 },
    maxTokens: task.maxTokens,
    endIds: new Set(files.tokenizer.stopIds),
    ...textStopper(files.tokenizer, ends),
  }));
  for await (const { request, ids } of responsesOf(engine, requests))
    replies[request] = textOf(files.tokenizer, ends, ids);
  await engine.close();
  return replies;
}

const replying = task.kind === "choices" ? likelihoods : writings;
// The first calls of a process make what later ones use again.
await replying(promptsOf(task, documents.slice(0, 1), pool, shots));
const { seconds, cpuSeconds, result } = await timed(async () => {
  const prompts = promptsOf(task, documents, pool, shots);
  const replies = await replying(prompts);
  const scores = prompts.map(({ document }, at) => task.score(document, replies[at]));
  const scored = prompts.map(({ group }, at) => ({ group, scores: scores[at] }));
  const figures = task.metrics.map((metric) => figuresOf(task, metric, scored));
  return { prompts, replies, scores, figures };
});
report({
  samples: [{ seconds, cpuSeconds }],
  documents: Object.fromEntries(
    result.prompts.map(({ group = "", index, requests }, at) => [
      `${group}/${index}`,
      {
        metrics: result.scores[at],
        reply: result.replies[at],
        prompt: createHash("sha256").update(requests[0].context).digest("hex"),
      },
    ]),
  ),
  // Named as lm-eval names groups: `acc,none`, `stem acc,none`.
  figures: Object.fromEntries(
    result.figures.flatMap(({ metric: { key }, all, areas }) =>
      [["", all], ...areas].flatMap(([area, { value, standardError }]) => {
        const before = area === "" ? "" : `${area.replaceAll(" ", "_")} `;
        return [
          [before + key, value],
          [before + key.replace(",", "_stderr,"), standardError],
        ];
      }),
    ),
  ),
});
