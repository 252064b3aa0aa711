import { toArguments } from "./options.mjs";
import { inTurns, runWorker } from "./processes.mjs";
import { least, median, summary } from "./statistics.mjs";
import { comparison, table } from "./table.mjs";

export const defaults = {
  rows: 8,
  // Optimiser steps in each process, the first of which is not timed; each side runs `rounds` processes.
  steps: 3,
  "micro-batch-tokens": 2048,
  "micro-batch-rows": 4,
  // The authors' trainer takes part when both are given.
  "authors-python": "",
  "authors-scripts": "",
  // Steps of TRL's DPO trainer take part with an interpreter that has TRL.
  "trl-python": "",
  // Steps that train LoRA adapters of this rank take part; 0: none.
  "lora-rank": 0,
};

const trl = "TRL, DPO on two responses";
const lora = "Amalgam, LoRA";
/** Sides whose gradients are not ours: of another loss, or of adapters alone. */
const otherWork = new Set([trl, lora]);
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
  if (asked["trl-python"] !== "")
    sides.push({
      name: trl,
      command: asked["trl-python"],
      args: ["-P", here("./peers/trl_training.py"), ...toArguments({ model: models.current, ...peer })],
    });
  if (asked["lora-rank"] > 0)
    sides.push({
      name: lora,
      command: process.execPath,
      args: [
        here("./training.mjs"),
        ...toArguments({ model: models.current, ...work, ...budget, "lora-rank": asked["lora-rank"] }),
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
    if (precision === "fp32" && !otherWork.has(name) && deviation(samples[0].gradNorm, ours.samples[0].gradNorm) > 2e-3)
      throw new Error(
        `${name} has gradient norm ${samples[0].gradNorm} at the first step, Amalgam ${ours.samples[0].gradNorm}: not the same work`,
      );
  // The first step of a process touches its memory for the first time.
  const warm = results.map((side) => ({
    ...side,
    samples: side.reports.flatMap((report) => report.samples.slice(1)),
  }));
  const gemmBest = Math.max(...rates.map(({ best }) => best));
  const once = least(ours.reports.map((report) => report.once));
  const shares = warm[0].samples.map((sample) => sample.needed / sample.seconds / 1e9 / gemmBest);
  const share = { best: Math.max(...shares), median: median(shares), least: least(shares) };
  const summaries = warm.map((side) =>
    summary({ name: side.name, samples: side.samples, peakBytes: side.peakBytes }, warm[0]),
  );
  const firsts = (side) => least(side.reports.map((report) => report.samples[0].seconds)).toFixed(1);
  const [first] = ours.samples;
  const percent = (of) => `${(100 * of).toFixed(1)} %`;
  const text = [
    `A WRPO step of ${rows} rows, ${precision}, ${asked["micro-batch-tokens"]} tokens a micro-batch:`,
    comparison(summaries),
    "",
    `The reference's log-probs, once a row set: ${once.toFixed(2)} s a step. With them, as in a single epoch: ${summaries
      .slice(1)
      .filter(({ name }) => !otherWork.has(name))
      .map((side) => `${(side.least / (summaries[0].least + once)).toFixed(2)}x against ${side.name}`)
      .join(", ")}.`,
    `First step: ${first.tokens} tokens, ${first.scored} of them scored, ${(first.needed / 1e12).toFixed(2)} TFLOP (layers ${(first.layers / 1e12).toFixed(2)}, attention ${(first.attention / 1e12).toFixed(2)}, output ${(first.head / 1e12).toFixed(2)}).`,
    `Share of the best matrix rate, ${gemmBest.toFixed(0)} GFLOP/s: ${percent(share.best)} in the best step, ${percent(share.median)} in the median, ${percent(share.least)} in the slowest.`,
    `First steps of a process, not timed above: ${results.map((side) => `${side.name} ${firsts(side)} s`).join(", ")}.`,
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
  return { text, record: { summaries, once, gemmBest, share, results, rates } };
}
