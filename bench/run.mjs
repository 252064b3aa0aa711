// The product beside its peers in one run on one machine; see bench/README.md.
//   node bench/run.mjs training|generation|scoring|rewards|tasks [options]
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { machine } from "./lib/machine.mjs";
import { options, toArguments } from "./lib/options.mjs";
import { runWorker } from "./lib/processes.mjs";
import * as generation from "./lib/run-generation.mjs";
import * as scoring from "./lib/run-scoring.mjs";
import * as tasks from "./lib/run-tasks.mjs";
import * as training from "./lib/run-training.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const rewards = { defaults: scoring.defaults, run: scoring.runRewards };
const kinds = { training, generation, scoring, rewards, tasks };
const common = {
  // A Hugging Face folder, GGUF file, hub id or package, as recipes name models.
  model: "package:smollm2-135m-instruct",
  precision: "fp32",
  rounds: 2,
  python: "python3",
  results: here("./results"),
};

const [kind, ...args] = process.argv.slice(2);
if (!Object.hasOwn(kinds, kind))
  throw new Error(`node bench/run.mjs ${Object.keys(kinds).join("|")} [--name value ...]`);
const asked = options({ ...common, ...kinds[kind].defaults }, args);
mkdirSync(asked.results, { recursive: true });
const folder = join(asked.results, `model-${asked.model.replaceAll(/[^\w.-]+/g, "-")}`);
// In a process of its own: a parent's memory would count in the peaks of its children.
await runWorker(process.execPath, [here("./lib/model-folder.mjs"), ...toArguments({ model: asked.model, folder })]);

const before = machine();
if (before.loadAverage > 1)
  console.error(`The machine is busy (load ${before.loadAverage.toFixed(1)}); figures will be off.`);
const outcome = await kinds[kind].run({
  asked,
  here,
  models: { current: join(folder, "current"), older: join(folder, "2024") },
  tell: (name, report) => {
    const seconds = report.samples.map((sample) => sample.seconds.toFixed(2)).join(", ");
    console.error(
      `${new Date().toISOString().slice(11, 19)} ${name}: ${seconds} s, ${(report.peakBytes / 2 ** 30).toFixed(2)} GiB`,
    );
  },
});
const file = join(asked.results, `${kind}-${asked.precision}-${before.date.replaceAll(":", "")}.json`);
writeFileSync(file, `${JSON.stringify({ kind, options: asked, machine: before, ...outcome.record }, null, 1)}\n`);
console.log(outcome.text);
console.log(`Written to ${file}`);
