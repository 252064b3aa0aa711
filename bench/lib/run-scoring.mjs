import { toArguments } from "./options.mjs";
import { inTurns, runWorker } from "./processes.mjs";
import { least, summary } from "./statistics.mjs";
import { comparison } from "./table.mjs";

export const defaults = {
  prompts: 16,
  "micro-batch-tokens": 4096,
  // Sequences a batch that the peer is tried with, in the order given and by length; the fastest takes part.
  "batch-sizes": "1,5,10,20",
  "trial-prompts": 8,
};

/** What is computed for each response. A summed log-prob of some hundred tokens is held to less than a single reward. */
const figures = {
  logProbs: { words: "log-probs of each response", ours: "./scoring.mjs", peer: "./peers/scoring.py", most: 0.02 },
  rewards: { words: "a reward of each response", ours: "./rewards.mjs", peer: "./peers/rewards.py", most: 1e-3 },
};

export const run = (given) => compare(figures.logProbs, given);

/** The same for a reward model: the language model's weights with a head of one label. */
export async function runRewards({ models, ...given }) {
  const model = `${models.current}-rewards`;
  const args = toArguments({ model: models.current, folder: model });
  await runWorker(process.execPath, [given.here("./lib/reward-folder.mjs"), ...args]);
  return compare(figures.rewards, { ...given, models: { current: model } });
}

async function compare(figure, { asked, here, models, tell }) {
  const { precision, prompts, rounds } = asked;
  const work = { model: models.current, precision };
  const peer = ({ batch, byLength }, count) => ({
    name: `transformers, padded, ${batch} a batch${byLength ? ", by length" : ""}`,
    command: asked.python,
    args: ["-P", here(figure.peer), ...toArguments({ ...work, prompts: count, batch, "by-length": byLength })],
  });
  const tried = [];
  for (const batch of asked["batch-sizes"].split(",").map(Number))
    for (const byLength of batch > 1 ? [false, true] : [false]) {
      const side = peer({ batch, byLength }, Math.min(asked["trial-prompts"], prompts));
      const report = await runWorker(side.command, side.args);
      tell(`trial: ${side.name}`, report);
      tried.push({ batch, byLength, report });
    }
  const best = (some) => {
    const fastest = least(some.map(({ report }) => report.samples[0].seconds));
    return some.find(({ report }) => report.samples[0].seconds === fastest);
  };
  const unsorted = best(tried.filter(({ byLength }) => !byLength));
  const overall = best(tried);
  const ours = {
    name: "Amalgam",
    command: process.execPath,
    args: [here(figure.ours), ...toArguments({ ...work, prompts, "micro-batch-tokens": asked["micro-batch-tokens"] })],
  };
  const peers = overall === unsorted ? [overall] : [overall, unsorted];
  const results = await inTurns([ours, ...peers.map((which) => peer(which, prompts))], rounds, tell);
  const [mine] = results;
  const deviations = results
    .slice(1)
    .map(({ samples }) =>
      Math.max(...samples[0].values.map((value, at) => Math.abs(value - mine.samples[0].values[at]))),
    );
  if (precision === "fp32" && Math.max(...deviations) > figure.most)
    throw new Error(`${figure.words}: they deviate by up to ${Math.max(...deviations)}: not the same work`);
  const summaries = results.map((side) =>
    summary({ name: side.name, samples: side.samples, peakBytes: side.peakBytes }, mine),
  );
  const text = [
    `${prompts} prompts x 5 responses, ${figure.words}, ${precision}:`,
    comparison(summaries),
    `Largest deviation: ${Math.max(...deviations).toExponential(1)}.`,
  ].join("\n");
  return { text, record: { summaries, deviations, tried, results } };
}
