import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TinyFamily, tinyFolder } from "../../models/testing/tiny-model.ts";
import { packageFile } from "../../schema/index.ts";
import { amalgam } from "../testing/child-run.ts";
import { leaderboardPaths } from "./tables/index.ts";

const scratch = mkdtempSync(join(tmpdir(), "killed-evaluation-"));
const families: readonly TinyFamily[] = ["qwen2", "qwen3", "gemma3", "mistral", "olmo2"];
const folders = new Map(families.map((family) => [family, roomyFolder(family)]));
afterAll(() => {
  for (const path of [scratch, ...folders.values()]) rmSync(path, { recursive: true, force: true });
});

/** Their vocabulary is one of bytes: a judge's prompt has thousands of them. */
function roomyFolder(family: TinyFamily): string {
  const folder = tinyFolder(family);
  const file = join(folder, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...config, max_position_embeddings: 16_384 }));
  return folder;
}

/** Every kind of benchmark on a few of the shipped questions, answered and judged by random models. */
const suite = join(scratch, "suite.yaml");
const judged = { limit: 3, sampling: { max_tokens: 16 } };
const inWords = { ...judged, judge_max_tokens: 80, attempts: 1 };
writeFileSync(
  suite,
  JSON.stringify({
    name: "killed",
    bootstrap: 100,
    judge: { name: "random", model: folders.get("qwen2"), precision: "fp32" },
    models: families.map((name) => ({ name, model: folders.get(name), precision: "fp32" })),
    benchmarks: [
      { kind: "alpaca_eval", questions: "alpaca-eval/questions.json", ...judged },
      { kind: "arena_hard", questions: "arena-hard/question.jsonl", baseline: "arena-hard/baseline.jsonl", ...inWords },
      { kind: "mt_bench", questions: "mt-bench/question.jsonl", references: "mt-bench/references.jsonl", ...inWords },
      { kind: "task", task: "arc_challenge", data: "tasks/arc_challenge", shots: 1, limit: 4 },
      { kind: "task", task: "gsm8k", data: "tasks/gsm8k", shots: 0, limit: 2 },
    ],
  }),
);
const words = (output: string) => [
  ...["evaluate", "--suite", suite, "--data", packageFile("suites/data"), "--output", output, "--offline"],
];
const undisturbed = join(scratch, "undisturbed");
const tables = (folder: string) => Object.values(leaderboardPaths(folder)).map((file) => readFileSync(file, "utf8"));

/** What the whole takes here, in milliseconds. */
let whole = 0;
beforeAll(async () => {
  const began = performance.now();
  const { code, text } = await amalgam(words(undisturbed));
  whole = performance.now() - began;
  expect([code, text]).toEqual([0, expect.stringContaining("Leaderboard of killed")]);
});

test("five models, killed twenty times at random moments: the tables are those of an evaluation that was not killed", async () => {
  const folder = join(scratch, "killed");
  const killsAtMost = 20;
  let kills = 0;
  for (let going = true; going; ) {
    // A while after the first of what is missing is begun: each attempt comes a little further.
    let isMarked = kills >= killsAtMost;
    const ended = await amalgam(words(folder), (line, child) => {
      if (isMarked || !line.startsWith("evaluating, ")) return;
      isMarked = true;
      setTimeout(() => child.kill("SIGKILL"), (Math.random() * whole) / 8);
    });
    going = ended.signal !== null;
    if (going) kills += 1;
    else expect([ended.code, ended.text]).toEqual([0, expect.any(String)]);
  }
  expect(kills).toBeGreaterThan(5);
  expect(tables(folder)).toEqual(tables(undisturbed));
});

test("Ctrl-C ends with its code and the way on, and a second evaluation of the same models asks for nothing", async () => {
  const folder = join(scratch, "stopped");
  const stopped = await amalgam(words(folder), (line, child) => {
    if (line.startsWith("evaluating, ")) child.kill("SIGINT");
  });
  expect([stopped.code, stopped.text]).toEqual([130, expect.stringContaining("the same command goes on from here")]);
  expect((await amalgam(words(folder))).code).toBe(0);
  const again = await amalgam(words(folder));
  expect(again.text).not.toMatch(/ of \d+ (answers|judgements|replies)/);
  expect(tables(folder)).toEqual(tables(undisturbed));
});
