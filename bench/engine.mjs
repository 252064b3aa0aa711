// The generation engine alone, no peer: what sharing a prompt gains for 5 responses, time to the first token of an idle and of a busy
// engine, and the speed of decoding by rows against what the machine's memory and products allow. CPU seconds stand beside the
// clock's, for machines that others use too.
//   node bench/engine.mjs --model FOLDER [--precision fp32|bf16] [--prompts 16] [--tokens 32] [--rows 1,8,64]
import { setMaxListeners } from "node:events";
import { Engine, randomStream } from "amalgam/generation";
import { ops } from "amalgam/torch";
import { tokenisedQuadruples } from "./lib/data.mjs";
import { options } from "./lib/options.mjs";
import { openWorkerModel, report, timed } from "./lib/worker.mjs";

const {
  model: folder,
  precision,
  prompts,
  tokens,
  rows,
} = options({ model: "", precision: "fp32", prompts: 16, tokens: 32, rows: "1,8,64" });
const model = await openWorkerModel(folder, precision);
const bundles = await tokenisedQuadruples(model.tokenizer, prompts);
const sampler = { temperature: 0.8, topP: 0.95, topK: 0 };
const request = (prompt, name, n, maxTokens) => ({
  prompt,
  streams: Array.from({ length: n }, (_, index) => randomStream("engine", name, index)),
  sampler,
  endIds: new Set(),
  maxTokens,
});
const drain = async (events, onToken = () => {}) => {
  for await (const event of events) if (event.kind === "token") onToken();
};
const withEngine = async (settings, body) => {
  const engine = new Engine(model.decoder, settings);
  const result = await body(engine);
  await engine.close();
  return result;
};
const sampled = (requests) =>
  withEngine({}, (engine) => timed(() => Promise.all(requests.map((one) => drain(engine.submit(one))))));

const shared = bundles.map(({ id, prompt }) => request(prompt, id, 5, tokens));
// A first token of its own keeps a text from sharing anything.
const apart = bundles.flatMap(({ id, prompt }) =>
  Array.from({ length: 5 }, (_, k) => request([k + 5, ...prompt.slice(1)], `${id}-${k}`, 1, tokens)),
);
await sampled(shared.slice(0, 2));
const pick = ({ seconds, cpuSeconds }) => ({ seconds, cpuSeconds });
const sharing = { shared: pick(await sampled(shared)), apart: pick(await sampled(apart)) };

/** Until the first token, and all of it. */
const first = (engine, { id, prompt }) =>
  timed(async () => {
    for await (const event of engine.submit(request(prompt, `first-${id}`, 1, 1))) if (event.kind === "token") return;
  });
const firstToken = await withEngine({}, async (engine) => {
  const idle = pick(await first(engine, bundles[0]));
  const control = new AbortController();
  setMaxListeners(0, control.signal);
  const busy = bundles
    .slice(1)
    .map(({ id, prompt }) => drain(engine.submit(request(prompt, id, 4, 500), control.signal)));
  while (engine.load().generatedTokens < 2 * bundles.length) await new Promise((resume) => setTimeout(resume, 5));
  const running = engine.load().running;
  const beside = pick(await first(engine, { id: "busy", prompt: [7, ...bundles[0].prompt] }));
  control.abort();
  await Promise.all(busy);
  return { idle, beside: { running, ...beside } };
});

const weights = [...model.decoder.parameters.values()].reduce((sum, { elements }) => sum + elements, 0);
const bytes = weights * (precision === "bf16" ? 2 : 4);
const source = ops.empty([2 ** 27], { dtype: "float32" }).fill_(1);
await timed(() => source.sum());
const { seconds: reading } = await timed(() => source.sum());
const decoding = [];
for (const count of rows.split(",").map(Number)) {
  const steps = 24;
  const run = await withEngine({ rows: count }, async (engine) => {
    const some = Array.from({ length: count }, (_, k) => request([k + 5, 6, 7], `row-${k}`, 1, steps));
    return timed(() => Promise.all(some.map((one) => drain(engine.submit(one)))));
  });
  decoding.push({
    rows: count,
    secondsAStep: run.seconds / steps,
    cpuSecondsAStep: run.cpuSeconds / steps,
    weightBytesASecond: (bytes * steps) / run.seconds,
    flopsASecond: (2 * weights * count * steps) / run.seconds,
  });
}
report({ sharing, firstToken, memoryBytesASecond: 2 ** 29 / reading, decoding });
