// What choosing costs when a run is large. Run after `npm run build`:
//   node bench/selection.mjs [prompts, default 640000] [prompts of a ledger, default 2000]
// Each prompt has 5 responses of each of 10 sources and 5 of the target, of 1,500 characters with rewards of some ties, which come
// as a stream. Each part is a process of its own: the stream alone; the choice of quadruples by the paper's
// rule, of pairs of one source in a margin window, and by a rule that compares texts; the table of contributions with the statistics
// of 20,000 prompts. Last, how fast a ledger of fewer prompts (some 85 KB each of the temporary folder) gives its
// scored responses, and what the choice from there takes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { contributions, rewardStatistics, selectPairs, selectQuadruples } from "amalgam/preferences";
import { openLedger } from "amalgam/store";

const [count = 640_000, stored = 2000, part = "all"] = process.argv
  .slice(2)
  .map((word) => (/^\d+$/.test(word) ? Number(word) : word));
const sources = Array.from({ length: 10 }, (_, i) => `source-${i}`);
const n = 5;
/** Different sets of responses, over and over again: the stream costs next to nothing, and they are in the cache, as what was just read is. */
const sets = 32;
const paper = { minGap: 0, unfinished: "keep" };
const sameSource = { ...paper, rejectedFrom: "same_source", minGap: 0.01, maxGap: 0.1 };
const withTexts = {
  ...{ ...paper, nearEqual: 0.02, amongEquals: "like_length", lengthPenalty: 0.01, maxSimilarity: 0.8 },
  sources: { count: 2, of: "different_sources", rank: 1 },
};
/** As the pipeline keeps what is chosen, with a key of its own. */
const withoutText = ({ key, source, value }) => ({ key: Buffer.from(key).toString("latin1"), source, value, text: "" });

const parts = {
  stream: () => timed("the stream alone", drain),
  quadruples: () => timed("quadruples by the paper's rule", () => selectQuadruples(prompts(), paper, withoutText)),
  pairs: () => timed("pairs of one source, gaps .01 to .1", () => selectPairs(prompts(), sameSource, withoutText)),
  texts: () => timed("two sources, texts compared", () => selectQuadruples(prompts(), withTexts, withoutText)),
  contributions: given,
  ledger,
};
if (part === "all") for (const name of Object.keys(parts)) run(name);
else await parts[part]();

function run(name) {
  const words = [fileURLToPath(import.meta.url), String(count), String(stored), name];
  process.stdout.write(execFileSync(process.execPath, words));
}

async function timed(what, action) {
  const start = performance.now();
  const before = process.cpuUsage();
  const result = await action();
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(7);
  const { user, system } = process.cpuUsage(before);
  const busy = ((user + system) / 1e6).toFixed(1).padStart(7);
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(`${what.padEnd(44)} ${seconds} s, ${busy} s of processor, at most ${memory} MiB resident`);
  return result;
}

async function drain() {
  for await (const _ of prompts());
}

async function given() {
  const { selected } = await selectQuadruples(prompts(), paper, withoutText);
  const statistics = rewardStatistics((name) => name);
  async function* looked() {
    let at = 0;
    for await (const prompt of prompts()) {
      if (at++ % Math.ceil(count / 20_000) === 0) statistics.add(prompt);
      yield prompt;
    }
  }
  await timed("contributions and statistics, chosen before", () => contributions(looked(), selected, paper));
}

function textOf(corpus, lot) {
  const length = 800 + Math.floor(lot * 1400);
  const start = Math.floor(lot * 1e9) % (corpus.length - length);
  return corpus.slice(start, start + length);
}

function readCorpus() {
  const documents = fileURLToPath(new URL("../docs/", import.meta.url));
  const files = readdirSync(documents).filter((name) => name.endsWith(".md"));
  return files.map((name) => readFileSync(join(documents, name), "utf8")).join("\n");
}

/** The prompts, one by one, the same every time. */
async function* prompts() {
  const corpus = readCorpus();
  let state = 1;
  const lot = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const response = (source, index) => ({
    ...{
      key: lot().toString(16).padEnd(32, "0").slice(0, 32),
      promptId: "",
      source,
      index,
      finish: lot() < 0.03 ? "length" : "stop",
    },
    ...{ promptTokens: 60, responseTokens: 300, text: textOf(corpus, lot()), value: Math.round(lot() * 200) / 1000 },
    parts: [
      { name: "judge", value: lot(), weight: 0.5 },
      { name: "model", value: lot(), weight: 0.5 },
    ],
  });
  const several = (source) => Array.from({ length: n }, (_, index) => response(source, index));
  const made = Array.from({ length: sets }, () => ({ sources: sources.flatMap(several), target: several("target") }));
  for (let at = 0; at < count; at += 1) {
    const set = made[at % sets];
    yield { promptId: `prompt-${at}`, domain: `domain-${at % 8}`, ...set };
  }
}

async function ledger() {
  const folder = mkdtempSync(join(tmpdir(), "selection-bench-"));
  const opened = await openLedger(folder);
  const asked = Array.from({ length: stored }, (_, i) => ({
    ...{ id: `prompt-${i}`, split: "wrpo", checks: [] },
    messages: [{ role: "user", content: `Question ${i}: ${"why ".repeat(50)}` }],
  }));
  await opened.prompts.replace(asked);
  const sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [], seed: 42 };
  const draw = (source) => ({ source, identity: `digest of ${source}`, sampling, n, splits: ["wrpo"] });
  await opened.responses.declare("sources", sources.map(draw));
  await opened.responses.declare("target", [draw("target")]);
  const corpus = readCorpus();
  let state = 1;
  const lot = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const outcome = (promptId, index) => ({
    ...{ promptId, index, text: `${lot()} ${textOf(corpus, lot())}`, finish: "stop" },
    ...{ promptTokens: 60, responseTokens: 300 },
  });
  const indices = Array.from({ length: n }, (_, index) => index);
  for (let at = 0; at < stored; at += 64)
    for (const source of [...sources, "target"]) {
      const some = asked.slice(at, at + 64).flatMap(({ id }) => indices.map((index) => outcome(id, index)));
      await opened.responses.add(source === "target" ? source : "sources", source, some);
      await new Promise((resolve) => setImmediate(resolve));
    }
  for (const stage of ["sources", "target"]) {
    let scores = [];
    for await (const { key } of opened.responses.byStage(stage)) {
      const [judge, model] = [lot(), lot()];
      const weighed = [
        { name: "judge", value: judge, weight: 0.5 },
        { name: "model", value: model, weight: 0.5 },
      ];
      scores.push({ responseKey: key, reward: "bench", value: (judge + model) / 2, parts: weighed });
      if (scores.length < 512) continue;
      await opened.scores.add("bench", scores);
      scores = [];
    }
    await opened.scores.add("bench", scores);
  }
  async function* scored() {
    const target = opened.scores.byPrompt("target", "bench", "wrpo")[Symbol.asyncIterator]();
    for await (const { prompt, responses } of opened.scores.byPrompt("sources", "bench", "wrpo"))
      yield { promptId: prompt.id, sources: responses, target: (await target.next()).value.responses };
  }
  await timed(`a ledger of ${stored} prompts, read`, async () => {
    for await (const _ of scored());
  });
  await timed("quadruples of it", () => selectQuadruples(scored(), paper, withoutText));
  await opened.close();
  rmSync(folder, { recursive: true, force: true });
}
