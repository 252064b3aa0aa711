// What choosing costs when a run is large. Run after `npm run build`:
//   node bench/selection.mjs [prompts, default 640000] [prompts of a ledger, default 2000]
// Each prompt has 5 responses of each of 10 sources and 5 of the target, of 1,500 characters with rewards of some ties, which come
// as a stream. Each part is a process of its own: the stream alone; the choice by the rules, those that compare texts among them,
// with and without the table of contributions and the statistics. Last, a ledger of fewer prompts (some 140 KB each of the
// temporary folder): what reading its scored responses takes, and the two selection stages of a run from there, end to end.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { selectForSft, selectForWrpo } from "amalgam/pipeline";
import { contributionCounter, rewardStatistics, selectPairs, selectQuadruples } from "amalgam/preferences";
import { openRewards } from "amalgam/rewards";
import { recipeSchema } from "amalgam/schema";
import { openLedger, readLedger } from "amalgam/store";

const [count = 640_000, stored = 2000, part = "all", at = ""] = process.argv
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
const across = { ...paper, acrossPrompts: { maxSimilarity: 0.8, atMost: 1 } };
/** Those that compare texts in a recipe's words. */
const byTexts = {
  ...{ near_equal: 0.02, among_equals: "like_length", length_penalty: 0.01, max_similarity: 0.8, source_responses: 2 },
};
/** As the pipeline keeps what is chosen, with a key of its own. */
const withoutText = ({ key, source, value }) => ({ key: Buffer.from(key).toString("latin1"), source, value, text: "" });

const parts = {
  stream: () => timed("the stream alone", drain),
  quadruples: () =>
    timed("quadruples by the paper's rule", () => selectQuadruples(prompts(), paper, { kept: withoutText })),
  pairs: () =>
    timed("pairs of one source, gaps .01 to .1", () => selectPairs(prompts(), sameSource, { kept: withoutText })),
  texts: () =>
    timed("two sources, texts compared", () => selectQuadruples(prompts(), withTexts, { kept: withoutText })),
  table: () => given("quadruples, with contributions and statistics", paper),
  tableByTexts: () => given("texts compared, with the same", withTexts),
  across: () => given("y_ws different from prompt to prompt", across, distinctPrompts()),
  ledger,
};
/** Of the ledger in the folder `at`. */
const ledgerParts = {
  fill,
  fillScores: async () => fillScores(await openLedger(at)),
  read,
  stages: () => stages(),
  stagesByTexts: () => stages("both, texts compared", byTexts),
};
if (part === "all") for (const name of Object.keys(parts)) run(name);
else await { ...parts, ...ledgerParts }[part]();

function run(name, folder = at) {
  const words = [fileURLToPath(import.meta.url), String(count), String(stored), name, folder];
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

/** As the pipeline does it: all that the report tells is counted while it is chosen. */
async function given(what, rule, asked = prompts()) {
  await timed(what, async () => {
    const statistics = rewardStatistics((name) => name);
    const counter = contributionCounter(rule);
    let seen = 0;
    const watch = (prompt, sourceChosen) => {
      if (seen++ % Math.ceil(count / 20_000) === 0) statistics.add(prompt);
      counter.add(prompt, sourceChosen);
    };
    const { selected } = await selectQuadruples(asked, rule, { kept: withoutText, watch });
    counter.result(selected);
    statistics.result();
  });
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

/** The same with a text of its own for the responses of the sources to each prompt, of twelve pieces of the documents. */
async function* distinctPrompts() {
  const corpus = readCorpus();
  let state = 11;
  const piece = () => {
    state = (state * 48271) % 2147483647;
    const start = state % (corpus.length - 125);
    return corpus.slice(start, start + 125);
  };
  for await (const prompt of prompts()) {
    const text = Array.from({ length: 12 }, piece).join(" ");
    yield { ...prompt, sources: prompt.sources.map((response) => ({ ...response, text })) };
  }
}

/** A recipe of ten recorded sources whose ledger is filled by hand: the stages that select ask for nothing more. */
function benchRecipe(selection) {
  return recipeSchema.parse({
    ...{ name: "bench", prompts: { file: "prompts.jsonl" }, target: { model: "target" } },
    sources: sources.map((name) => ({ name, recorded: { file: `${name}.jsonl` } })),
    sampling: { n },
    rewards: [{ kind: "checks" }],
    ...{ selection, evaluation: { prompts: { file: "held-out.jsonl" } } },
  });
}

async function rewardIdentity() {
  return (await openRewards(benchRecipe({}).rewards, {})).identity;
}

function ledger() {
  const folder = mkdtempSync(join(tmpdir(), "selection-bench-"));
  for (const name of ["fill", "read", "stages", "stagesByTexts"]) run(name, folder);
  rmSync(folder, { recursive: true, force: true });
}

async function fill() {
  const opened = await openLedger(at);
  await fillResponses(opened);
  await fillScores(opened);
  await opened.close();
}

async function fillResponses(opened) {
  const asked = Array.from({ length: stored }, (_, i) => ({
    ...{ id: `prompt-${i}`, split: i % 3 === 0 ? "sft" : "wrpo", checks: [], domain: `domain-${i % 8}` },
    messages: [{ role: "user", content: `Question ${i}: ${"why ".repeat(50)}` }],
  }));
  await opened.prompts.replace(asked);
  const sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [], seed: 42 };
  const draw = (source, splits) => ({ source, identity: `digest of ${source}`, sampling, n, splits });
  await opened.responses.declare(
    "sources",
    sources.map((source) => draw(source, ["sft", "wrpo"])),
  );
  await opened.responses.declare("target", [draw("target", ["wrpo"])]);
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
  for (let start = 0; start < stored; start += 64)
    for (const source of [...sources, "target"]) {
      const some = asked
        .slice(start, start + 64)
        .filter(({ split }) => source !== "target" || split === "wrpo")
        .flatMap(({ id }) => indices.map((index) => outcome(id, index)));
      await opened.responses.add(source === "target" ? source : "sources", source, some);
      await new Promise((resolve) => setImmediate(resolve));
    }
}

async function fillScores(opened) {
  const identity = await rewardIdentity();
  let state = 7;
  const lot = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  for (const stage of ["sources", "target"]) {
    let scores = [];
    for await (const { key, promptId } of opened.responses.byStage(stage)) {
      const [judge, model] = [lot(), lot()];
      const weighed = [
        { name: "judge", value: judge, weight: 0.5 },
        { name: "model", value: model, weight: 0.5 },
      ];
      scores.push({ promptId, responseKey: key, reward: identity, value: (judge + model) / 2, parts: weighed });
      if (scores.length < 512) continue;
      await opened.scores.add(identity, scores);
      scores = [];
      await new Promise((resolve) => setImmediate(resolve));
    }
    await opened.scores.add(identity, scores);
  }
}

async function read() {
  const opened = await readLedger(at);
  const identity = await rewardIdentity();
  await timed(`a ledger of ${stored} prompts, read`, async () => {
    for (const stage of ["sources", "target"])
      for await (const { responses } of opened.scores.byPrompt(stage, identity)) if (!responses) throw new Error();
  });
  await opened.close();
}

/** `amalgam run`'s stages that select, on the ledger as it stands. */
async function stages(what = "both stages that select", selection = {}) {
  const run = {
    ...{ folder: at, recipe: benchRecipe(selection), ledger: await openLedger(at) },
    ...{ listener: { notice() {} }, signal: new AbortController().signal },
  };
  await run.ledger.selections.replace("sft", []);
  await run.ledger.selections.replace("wrpo", []);
  await timed(what, async () => {
    await selectForSft(run);
    await selectForWrpo(run);
  });
  await run.ledger.close();
}
