import { toArguments } from "./options.mjs";
import { inTurns, runWorker } from "./processes.mjs";
import { least, summary } from "./statistics.mjs";
import { comparison } from "./table.mjs";

export const defaults = {
  prompts: 64,
  responses: 5,
  tokens: 128,
  rounds: 3,
  // Prompts a batch that the peer is tried with; the fastest takes part.
  "batch-sizes": "16,32,64",
};

export async function run({ asked, here, models, tell }) {
  const { precision, prompts, responses, tokens, rounds } = asked;
  const work = { model: models.current, precision, prompts, responses, tokens };
  const peer = (batch) => ({
    name: `transformers.generate, ${batch} prompts a batch`,
    command: asked.python,
    args: ["-P", here("./peers/generation.py"), ...toArguments({ ...work, "batch-prompts": batch })],
  });
  const tried = [];
  for (const batch of asked["batch-sizes"].split(",").map(Number)) {
    const side = peer(batch);
    const report = await runWorker(side.command, side.args);
    tell(side.name, report);
    tried.push({ batch, report });
  }
  const fastest = least(tried.map(({ report }) => report.samples[0].seconds));
  const { batch, report: first } = tried.find(({ report }) => report.samples[0].seconds === fastest);
  const results = await inTurns(
    [
      { name: "Amalgam", command: process.execPath, args: [here("./generation.mjs"), ...toArguments(work)] },
      peer(batch),
    ],
    rounds,
    tell,
  );
  const [ours, theirs] = results;
  theirs.samples.push(...first.samples);
  if (ours.samples[0].tokens !== theirs.samples[0].tokens)
    throw new Error("the sides made different numbers of tokens");
  const summaries = results.map((side) =>
    summary({ name: side.name, samples: side.samples, peakBytes: side.peakBytes }, ours),
  );
  const text = [
    `${prompts} prompts x ${responses} responses of ${tokens} tokens, ${precision}, temperature 0.8, top-p 0.95:`,
    comparison(summaries),
  ].join("\n");
  return { text, record: { summaries, tried, results } };
}
