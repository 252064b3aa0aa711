import { toArguments } from "./options.mjs";
import { inTurns, runWorker } from "./processes.mjs";
import { least, summary } from "./statistics.mjs";
import { comparison } from "./table.mjs";

export const defaults = {
  // arc_challenge, hellaswag, mmlu, truthfulqa_mc2, winogrande, gsm8k or ifeval, and a folder with its rows.
  task: "",
  data: "",
  shots: 0,
  // Documents, of each group where the task has groups.
  limit: 100,
  "micro-batch-tokens": 1024,
  // Requests a batch that lm-eval is tried with; the fastest takes part.
  "batch-sizes": "1,2,4,8,16",
  "trial-limit": 8,
};

/** The product beside lm-eval's `hf` models: a log-likelihood is held to 1e-3, answers to 99.5 %, figures to equality. */
export async function run({ asked, here, models, tell }) {
  const { rounds, limit, task, data, shots } = asked;
  const work = { task, data, shots };
  const peer = (batch, count) => ({
    name: `lm-eval, ${batch} a batch`,
    command: asked.python,
    args: [
      "-P",
      here("./peers/lm_eval_tasks.py"),
      ...toArguments({ model: models.older, ...work, limit: count, batch }),
    ],
  });
  const tried = [];
  for (const batch of asked["batch-sizes"].split(",").map(Number)) {
    const side = peer(batch, Math.min(asked["trial-limit"], limit));
    const report = await runWorker(side.command, side.args);
    tell(`trial: ${side.name}`, report);
    tried.push({ batch, seconds: report.samples[0].seconds });
  }
  const fastest = least(tried.map(({ seconds }) => seconds));
  const { batch } = tried.find(({ seconds }) => seconds === fastest);
  const ours = {
    name: "Amalgam",
    command: process.execPath,
    args: [
      here("./tasks.mjs"),
      ...toArguments({ model: models.current, ...work, limit, "micro-batch-tokens": asked["micro-batch-tokens"] }),
    ],
  };
  const results = await inTurns([ours, peer(batch, limit)], rounds, tell);
  const agreement = agreementOf(results[0].reports[0], results[1].reports[0]);
  const summaries = results.map((side) =>
    summary({ name: side.name, samples: side.samples, peakBytes: side.peakBytes }, results[0]),
  );
  const text = [
    `${task}, ${shots} examples, ${agreement.documents} documents, fp32:`,
    comparison(summaries),
    `Prompts that are the same: ${agreement.prompts}. ${
      agreement.texts === undefined
        ? `Log-likelihoods deviate by up to ${agreement.deviation.toExponential(1)}; choices that are the same: ${agreement.answers}`
        : `Written answers that are the same: ${agreement.texts}`
    }.`,
    `Metrics that are the same: ${agreement.metrics} of ${agreement.compared}. Figures: ${agreement.figures.map(({ key, ours, theirs }) => `${key} ${ours} and ${theirs}`).join("; ")}.`,
  ].join("\n");
  return { text, record: { summaries, tried, agreement } };
}

function agreementOf(ours, theirs) {
  const names = Object.keys(theirs.documents);
  if (names.length !== Object.keys(ours.documents).length) throw new Error("the sides have different documents");
  let [prompts, deviation, answers, metrics, compared, texts] = [0, 0, 0, 0, 0, undefined];
  const best = (values) => values.indexOf(Math.max(...values));
  for (const name of names) {
    const [mine, other] = [ours.documents[name], theirs.documents[name]];
    prompts += Number(mine.prompt === other.prompt);
    if (typeof other.reply === "string") texts = (texts ?? 0) + Number(mine.reply === other.reply);
    else {
      answers += Number(best(mine.reply) === best(other.reply));
      for (const [at, value] of other.reply.entries())
        deviation = Math.max(deviation, Math.abs(value - mine.reply[at]));
    }
    for (const [key, value] of Object.entries(other.metrics)) {
      compared += 1;
      // IFEval has a verdict for each instruction.
      const [own, others] = [mine.metrics[key], value].map((of) => [of].flat().map(Number));
      const same = own.length === others.length && own.every((one, at) => Math.abs(one - others[at]) < 1e-3);
      metrics += Number(same);
    }
  }
  const figures = Object.entries(theirs.figures).map(([key, value]) => ({
    key,
    ours: ours.figures[key],
    theirs: value,
  }));
  return { documents: names.length, prompts, deviation, answers, metrics, compared, texts, figures };
}
