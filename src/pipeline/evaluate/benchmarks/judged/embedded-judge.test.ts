import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyFolder } from "../../../../models/testing/tiny-model.ts";
import { silent } from "../../../events.ts";
import { evaluateSuite } from "../../index.ts";
import { newFolder, writeLines } from "../../testing/judged-world.ts";

const model = tinyFolder("llama");
const folder = newFolder();
afterAll(() => {
  for (const path of [model, folder]) rmSync(path, { recursive: true, force: true });
});

/** A suite of both benchmarks on three questions, judged by a random model that nobody taught to judge. */
function suiteOf(verdict: string) {
  const categories = ["writing", "stem", "roleplay"];
  const arena = categories.map((category, at) => ({ uid: `q${at}`, category, prompt: `Why ${at}?` }));
  const answer = (uid: string, model: string) => ({
    uid,
    model,
    messages: [{ role: "assistant", content: { answer: `${model} says so.` } }],
  });
  const mt = categories.map((category, at) => ({ question_id: at, category, turns: [`Why ${at}?`, "And?"] }));
  const mtAnswer = mt.map(({ question_id }) => ({ question_id, choices: [{ turns: ["Thus.", "So."] }] }));
  const prompt = (name: string, prompt_template: string) => ({ name, system_prompt: "", prompt_template });
  const turns = "{question_1} {answer_1} {question_2} {answer_2}";
  writeFileSync(
    join(folder, "judge.yaml"),
    "system_prompt: Judge.\nprompt_template: '{QUESTION} {ANSWER_A} {ANSWER_B}'\n",
  );
  writeLines(folder, "prompts.jsonl", [
    prompt("single-v1", "{question} {answer}"),
    prompt("single-math-v1", "{question} {answer} {ref_answer_1}"),
    prompt("single-v1-multi-turn", turns),
    prompt("single-math-v1-multi-turn", `${turns} {ref_answer_1} {ref_answer_2}`),
  ]);
  const outputs = {
    arena_hard: writeLines(
      folder,
      "m.jsonl",
      arena.map(({ uid }) => answer(uid, "m")),
    ),
    mt_bench: writeLines(folder, "mt.jsonl", mtAnswer),
  };
  const shared = { verdict, judge_max_tokens: 250 };
  const suite = {
    judge: { model, precision: "fp32" },
    models: [{ name: "m", outputs }],
    benchmarks: [
      {
        kind: "arena_hard",
        questions: writeLines(folder, "q.jsonl", arena),
        baseline: writeLines(
          folder,
          "b.jsonl",
          arena.map(({ uid }) => answer(uid, "base")),
        ),
        prompt: "judge.yaml",
        ...shared,
      },
      { kind: "mt_bench", questions: writeLines(folder, "mtq.jsonl", mt), prompt: "prompts.jsonl", ...shared },
    ],
  };
  const file = join(folder, "suite.yaml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(suite));
  return file;
}

const evaluate = (verdict: string) =>
  evaluateSuite({
    models: [],
    suite: suiteOf(verdict),
    folder: join(folder, verdict),
    signal: new AbortController().signal,
    listener: silent,
    offline: true,
  });

test("a random model that is held to a verdict gives one each time; left free, it gives none", async () => {
  const { results: held } = await evaluate("constrained");
  expect(held.map(({ models }) => models[0]!.failed)).toEqual([0, 0]);
  expect(held.map(({ models }) => models[0]!.items.length)).toEqual([3, 3]);
  for (const { official, models } of held) {
    expect(official).toBe(false);
    expect(models[0]!.notes).toContain("the judge was held to a short explanation with a verdict behind it");
  }
  const { results: free } = await evaluate("free");
  expect(free.map(({ models }) => models[0]!.failed)).toEqual([6, 6]);
  expect(free[0]!.models[0]!.figures).toEqual({ win_rate: null, style_controlled: null });
  expect(free[1]!.models[0]!.figures.score).toBeNull();
}, 30_000);
