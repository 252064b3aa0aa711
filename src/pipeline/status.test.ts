import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LedgerError, type SampleOutcome } from "../schema/index.ts";
import { type Ledger, openLedger, type ScoreOutcome } from "../store/index.ts";
import { type Progress, silent } from "./events.ts";
import { recordingListener } from "./recording.ts";
import { runStatus } from "./status.ts";

let folder: string;
let ledger: Ledger;

const prompts = ["a", "b", "c"].map((id, index) => ({
  id,
  messages: [{ role: "user" as const, content: id }],
  checks: [],
  split: index < 2 ? ("sft" as const) : ("wrpo" as const),
}));
const sampling = { temperature: 1, top_p: 1, top_k: 0, max_tokens: 8, stop: [], seed: 1 };
const text = (promptId: string, index: number): SampleOutcome => ({
  promptId,
  index,
  text: `${promptId}${index}`,
  finish: index === 0 ? "stop" : "length",
  promptTokens: 1,
  responseTokens: 2,
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "status-"));
  writeFileSync(join(folder, "prompts.jsonl"), "");
  const recipe = `prompts: {file: prompts.jsonl}
target: {model: m}
sources: [{name: one, model: m}, {name: two, model: m}]
rewards: [{kind: checks}]
evaluation: {prompts: {file: prompts.jsonl}}
`;
  writeFileSync(join(folder, "recipe.yaml"), recipe);
  ledger = await openLedger(folder);
  await ledger.prompts.replace(prompts);
});
afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true });
});

async function drawTwoSources() {
  const splits = ["sft", "wrpo"] as const;
  const draw = (source: string) => ({ source, identity: source, sampling, n: 2, splits });
  await ledger.responses.declare("sources", [draw("one"), draw("two")]);
  await ledger.responses.add(
    "sources",
    "one",
    prompts.flatMap(({ id }) => [text(id, 0), text(id, 1)]),
  );
  await ledger.responses.add("sources", "two", [text("a", 0), { promptId: "b", index: 0, failure: "HTTP 500" }]);
}

test("a folder without a run is refused", async () => {
  await expect(runStatus(join(folder, "nowhere"))).rejects.toThrow(LedgerError);
});

test("a run that is going on: state, counts of each source, rate and time left over all of them", async () => {
  await drawTwoSources();
  await ledger.stages.start("sample", "inputs", { total: 0, done: 0 });
  let time = 0;
  const recording = recordingListener(ledger.stages, "sample", "inputs", silent, () => time);
  const progress = (label: string, done: number): Progress => ({
    stage: "sample",
    label,
    done,
    total: 6,
    unit: "responses",
  });
  recording.progress(progress("one", 0));
  await recording.settle();
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const [label, done] of [
    ["one", 6],
    ["two", 1],
  ] as const) {
    time += 2000;
    recording.progress(progress(label, done));
  }
  await recording.settle();

  const status = await runStatus(folder);
  expect(status.writer).toMatchObject({ pid: process.pid });
  expect(status.prompts).toEqual({ sft: 2, wrpo: 1, evaluation: 0 });
  const [sample, score] = status.stages;
  expect(sample).toMatchObject({ stage: "sample", state: "running", done: 7, total: 12, failed: 1 });
  expect(sample!.secondsLeft).toBeCloseTo(5 / sample!.rate!, 6);
  expect(score).toMatchObject({ stage: "score", state: "waiting", seconds: 0 });
  expect(status.draws).toMatchObject([
    { source: "one", done: 6, total: 6, unfinished: 3, failed: 0 },
    { source: "two", done: 1, total: 6, unfinished: 0, failed: 1 },
  ]);
  expect(status.selections).toEqual({ sft: null, wrpo: null });
  expect(status).not.toHaveProperty("report");
});

test("a run that was stopped is interrupted; what was selected shows where it came from", async () => {
  await drawTwoSources();
  await ledger.stages.start("score", "inputs", { total: 7, done: 0 });
  const scores: ScoreOutcome[] = [];
  for await (const response of ledger.responses.byStage("sources")) {
    const value = response.source === "two" ? 1 : 0.5;
    scores.push({ promptId: response.promptId, responseKey: response.key, reward: "reward", value, parts: [] });
  }
  await ledger.scores.add("reward", scores);
  const key = (source: string, promptId: string) =>
    scores.find(({ responseKey }) => keys.get(responseKey) === `${source} ${promptId}`)!.responseKey;
  const keys = new Map<string, string>();
  for await (const { key, source, promptId } of ledger.responses.byStage("sources"))
    keys.set(key, `${source} ${promptId}`);
  await ledger.selections.replace("sft", [
    { promptId: "a", sourceChosen: key("two", "a") },
    { promptId: "b", sourceChosen: key("one", "b") },
  ]);
  await ledger.close();

  const status = await runStatus(folder);
  expect(status.writer).toBeUndefined();
  expect(status.stages[1]).toMatchObject({ stage: "score", state: "interrupted", done: 7, total: 7 });
  expect(status.stages[1]).not.toHaveProperty("secondsLeft");
  expect(status.scores).toMatchObject([{ stage: "sources", reward: "reward", done: 7, total: 7 }]);
  expect(status.selections.sft).toMatchObject({ selected: 2 });
  expect(status.selections.sft!.contributions.map(({ source, chosen }) => [source, chosen])).toEqual([
    ["two", 1],
    ["one", 1],
  ]);
  expect(status.selections.wrpo).toBeNull();
});

test("a stage that fails while the ledger can't be written tells why", async () => {
  await ledger.close();
  const recording = recordingListener(ledger.stages, "sample", "inputs", silent);
  recording.progress({ stage: "sample", label: "one", done: 0, total: 6, unit: "responses" });
  await expect(recording.settle()).rejects.toThrow();
});
