import { toArguments } from "./options.mjs";
import { inTurns, runWorker } from "./processes.mjs";
import { least, median, summary } from "./statistics.mjs";
import { comparison, table } from "./table.mjs";

export const defaults = {
  rows: 8,
  // Optimiser steps in each process; each side runs `rounds` processes.
  steps: 2,
  "micro-batch-tokens": 2048,
  "micro-batch-rows": 4,
  // The authors' trainer takes part when both are given.
  "authors-python": "",
  "authors-scripts": "",
};

const deviation = (a, b) => Math.abs(a - b) / Math.abs(b);

export async function run({ asked, here, models, tell }) {
  const { precision, rows, steps, rounds } = asked;
  const work = { precision, rows, steps };
  const peer = { ...work, "micro-batch-rows": asked["micro-batch-rows"] };
  const budget = { "micro-batch-tokens": asked["micro-batch-tokens"] };
  const sides = [
    {
      name: "Amalgam",
      command: process.execPath,
      args: [here("./training.mjs"), ...toArguments({ model: models.current, ...work, ...budget })],
    },
    {
      name: "transformers, padded",
      command: asked.python,
      args: ["-P", here("./peers/training.py"), ...toArguments({ model: models.current, ...peer })],
    },
  ];
  if (asked["authors-python"] !== "")
    sides.push({
      name: "authors' trainer",
      command: asked["authors-python"],
      args: [
        "-P",
        here("./peers/authors_training.py"),
        ...toArguments({ model: models.older, scripts: asked["authors-scripts"], ...peer }),
      ],
    });
  const gemm = () =>
    runWorker(process.execPath, [here("./gemm.mjs"), ...toArguments({ model: models.current, precision, ...budget })]);
  const rates = [await gemm()];
  const results = await inTurns(sides, rounds, tell);
  rates.push(await gemm());

  const [ours] = results;
  // In fp32 all sides must compute the same first step; bf16 rounds at different places.
  for (const { name, samples } of results.slice(1))
    if (precision === "fp32" && deviation(samples[0].gradNorm, ours.samples[0].gradNorm) > 2e-3)
      throw new Error(
        `${name} has gradient norm ${samples[0].gradNorm} at the first step, Amalgam ${ours.samples[0].gradNorm}: not the same work`,
      );
  const gemmBest = Math.max(...rates.map(({ best }) => best));
  const once = least(ours.reports.map((report) => report.once));
  const share = (of) => ({
    best: Math.max(...ours.samples.map((sample) => of(sample) / sample.seconds / 1e9 / gemmBest)),
    median: median(ours.samples.map((sample) => of(sample) / sample.seconds / 1e9 / gemmBest)),
  });
  const shares = {
    needed: share((sample) => sample.needed),
    withLogitsAgain: share((sample) => sample.withLogitsAgain),
    withAllAgain: share((sample) => sample.withAllAgain),
  };
  const summaries = results.map((side) =>
    summary({ name: side.name, samples: side.samples, peakBytes: side.peakBytes }, ours),
  );
  const [first] = ours.samples;
  const percent = ({ best, median: middle }) => `${(100 * best).toFixed(1)} % (median ${(100 * middle).toFixed(1)} %)`;
  const text = [
    `A WRPO step of ${rows} rows, ${precision}, ${asked["micro-batch-tokens"]} tokens a micro-batch:`,
    comparison(summaries),
    "",
    `The reference's log-probs, once a row set: ${once.toFixed(2)} s a step. With them, as in a single epoch: ${summaries
      .slice(1)
      .map((side) => `${(side.least / (summaries[0].least + once)).toFixed(2)}x against ${side.name}`)
      .join(", ")}.`,
    `First step: ${first.tokens} tokens, ${first.scored} of them scored, ${(first.needed / 1e12).toFixed(2)} TFLOP (layers ${(first.layers / 1e12).toFixed(2)}, attention ${(first.attention / 1e12).toFixed(2)}, output ${(first.head / 1e12).toFixed(2)}).`,
    `Share of the best matrix rate, ${gemmBest.toFixed(0)} GFLOP/s: ${percent(shares.needed)}; counting the logits computed again ${percent(shares.withLogitsAgain)}, and the attention scores too ${percent(shares.withAllAgain)}.`,
    "",
    table([
      ["GFLOP/s", "before", "after"],
      ...rates[0].rates.map(({ matrix, pass, shape, gflops }, at) => [
        `${matrix}, ${pass} ${shape.join(" x ")}`,
        gflops.toFixed(0),
        rates[1].rates[at].gflops.toFixed(0),
      ]),
    ]),
  ].join("\n");
  return { text, record: { summaries, once, gemmBest, shares, results, rates } };
}
