import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type BenchmarkRecipeOf, DataError } from "../../../../schema/index.ts";
import { serving } from "../../../../sources/testing/serving.ts";
import { jsonLines } from "../../../testing/tiny-world.ts";
import type { Contestant } from "../../evaluation.ts";
import { benchmarkRecipe } from "../../testing/benchmark-recipe.ts";
import {
  answeringAt,
  contestant,
  newFolder,
  type Script,
  scripted,
  withEvaluation,
  writeLines,
} from "../../testing/judged-world.ts";
import { arenaHard } from "./index.ts";

const { serve } = serving();
const questionRow = (at: number, category = "coding") => ({
  question_id: `q${at}`,
  category,
  cluster: "c",
  turns: [{ content: `question ${at}` }],
});
const answerRow = (at: number, model: string, content: string) => ({
  question_id: `q${at}`,
  answer_id: "x",
  model_id: model,
  choices: [{ index: 0, turns: [{ content, token_len: 3 }] }],
  tstamp: 1.5,
});
const places = [0, 1, 2, 3, 4, 5];

/** What the judge reads: the question's number, and whose answers A and B are. */
const shown = (text: string) => {
  const at = Number(/question (\d+)/.exec(text)![1]);
  const [a, b] = [...text.matchAll(/(strong|middling|weak|baseline) answer/g)].map(([, who]) => who!);
  return { at, a: a!, b: b! };
};
const ranks: Readonly<Record<string, number>> = { weak: 0, middling: 1, baseline: 1, strong: 2 };
const fair: Script = (text) => {
  const { a, b } = shown(text);
  const difference = ranks[a]! - ranks[b]!;
  return `I looked at both. [[${difference > 0 ? "A>B" : difference < 0 ? "B>>A" : "A=B"}]]`;
};
const models: Readonly<Record<string, Script>> = {
  strong: (text) => `strong answer to ${text}`,
  middling: (text) => `**middling answer** to ${text}`,
  weak: (text) => `weak answer to ${text}\n- and more`,
};

let folder: string;
let recipe: BenchmarkRecipeOf<"arena_hard">;
beforeEach(() => {
  folder = newFolder();
  const questions = writeLines(
    folder,
    "question.jsonl",
    places.map((at) => questionRow(at, at < 3 ? "coding" : "math")),
    "\r\n",
  );
  const baseline = writeLines(
    folder,
    "baseline.jsonl",
    places.map((at) => answerRow(at, "ours", `baseline answer ${at}`)),
  );
  recipe = benchmarkRecipe({ kind: "arena_hard", questions, baseline });
});

const measure = async (
  url: string,
  names: readonly string[],
  change: Partial<BenchmarkRecipeOf<"arena_hard">> = {},
  signal?: AbortSignal,
) =>
  withEvaluation(
    folder,
    async (evaluation) => {
      const contestants = [];
      for (const name of names) contestants.push(contestant(await answeringAt(url, name)));
      return arenaHard(evaluation, { ...recipe, ...change }, contestants, await answeringAt(url, "judge"));
    },
    signal,
  );

test("win rates, categories, items and files of three models by a fair judge", async () => {
  const { handler, answered } = scripted({ ...models, judge: fair });
  const { url } = await serve(handler);
  const result = await measure(url, ["strong", "middling", "weak"]);
  // strong: A>B as A, B>>A as B: 4 battles won of 4. weak the other way round.
  expect(result.models.map(({ figures }) => figures.win_rate!.value)).toEqual([100, 50, 0]);
  expect(result.models[1]!.figures.win_rate!.interval).toEqual([expect.closeTo(50, 9), expect.closeTo(50, 9)]);
  expect(result.models[0]!.categories).toMatchObject({ coding: { value: 100 }, math: { value: 100 } });
  expect(result.models[2]!.items).toHaveLength(6);
  expect(result.models[2]!.items[1]).toMatchObject({ id: "q1", value: 0, category: "coding", question: "question 1" });
  expect(result.models[2]!.items[1]!.words).toContain("I looked at both. [[B>>A]]");
  expect(result.models.map(({ failed }) => failed)).toEqual([0, 0, 0]);
  expect(result).toMatchObject({ judge: "judge", official: false });
  expect(result.models[0]!.notes[0]).toMatch(/the judge is judge, not gpt-4-1106-preview; the questions are not those/);
  // Three models, six questions, an answer and two games each; nothing twice.
  expect(answered).toHaveLength(3 * 6 * 3);
  expect(new Set(answered).size).toBe(answered.length);

  const out = join(folder, "arena_hard");
  const [judgement] = jsonLines(join(out, "model_judgment/judge/weak.jsonl"));
  expect(judgement).toMatchObject({ question_id: "q0", model: "weak", judge: "judge" });
  const games = judgement!.games as { score: string; user_prompt: string }[];
  // The baseline is A in the first game.
  expect(games.map(({ score }) => score)).toEqual(["A>B", "B>>A"]);
  expect(games[0]!.user_prompt.indexOf("baseline answer")).toBeLessThan(games[0]!.user_prompt.indexOf("weak answer"));
  const [answer] = jsonLines(join(out, "model_answer/weak.jsonl"));
  expect(answer).toMatchObject({
    question_id: "q0",
    model_id: "weak",
    // tiktoken's: weak, answer, to, question, a space, 0, a line end, -, and, more.
    choices: [{ turns: [{ token_len: 10 }] }],
    conv_metadata: { token_len: 10, list_count: { ordered: 0, unordered: 1 }, bold_count: { "**": 0, __: 0 } },
  });
  expect(jsonLines(join(out, "model_answer/ours.jsonl"))).toHaveLength(6);

  // The files go back in: another evaluation judges the written answers and comes to the same.
  const before = folder;
  folder = newFolder();
  const again = await withEvaluation(folder, async (evaluation) => {
    const outputs = { arena_hard: join(before, "arena_hard/model_answer/weak.jsonl") };
    const judge = await answeringAt(url, "judge");
    return arenaHard(evaluation, { ...recipe, bootstrap: 30 }, [{ name: "weak", outputs }], judge);
  });
  expect(again.models[0]!.figures.win_rate!.value).toBe(0);
  expect(again.models[0]!.items).toEqual(result.models[2]!.items);
});

describe("a judge that misbehaves", () => {
  const replies: Readonly<Record<number, ReturnType<Script>>> = {
    0: "Both have their merits.",
    1: "[[A>B]] or rather [[B>A]]",
    2: "",
    3: "I can't help with comparing people.",
    4: { content: "回答Aの方が優れています。そして", finish_reason: "length" },
    5: 500,
  };
  test("has no verdict, is asked once more, and is never a tie", async () => {
    const { handler, answered } = scripted({
      ...models,
      judge: (text, all) => replies[shown(all[1]?.content ?? text).at]!,
    });
    const { url } = await serve(handler);
    const { models: measured } = await measure(url, ["strong"]);
    const [strong] = measured;
    expect(strong!.figures).toEqual({ win_rate: null, style_controlled: null });
    expect(strong!.items).toEqual([]);
    expect(strong!.failed).toBe(12);
    expect(strong!.notes[0]).toMatch(/^12 games of 12 without a verdict, which count nowhere/);
    for (const reason of [
      "4 times: no verdict in its words;",
      "2 times: several verdicts in its words;",
      "2 times: no verdict in its words before max_tokens ran out",
    ])
      expect(strong!.notes[0]).toContain(reason);
    const asked = answered.map((call) => JSON.parse(call) as [string, { role: string; content: string }[]]);
    const judged = asked.filter(([model]) => model === "judge").map(([, messages]) => messages);
    const ofQuestion = (at: number) => judged.filter((messages) => shown(messages[1]!.content).at === at);
    // Prose is followed up with what was said; two labels are final, as in the official tool.
    expect(ofQuestion(0).map((messages) => messages.length)).toEqual([2, 2, 4, 4]);
    expect(ofQuestion(0)[2]![2]).toEqual({ role: "assistant", content: "Both have their merits." });
    expect(ofQuestion(1)).toHaveLength(2);
  });

  test("and comes to a verdict when asked again", async () => {
    const judge: Script = (_, all) =>
      all.length > 2 ? "[[A=B]]" : shown(all[1]!.content).at === 0 ? "Hm." : "[[B>A]]";
    const { url } = await serve(scripted({ ...models, judge }).handler);
    const [strong] = (await measure(url, ["strong"])).models;
    expect(strong!.failed).toBe(0);
    expect(strong!.items[0]).toMatchObject({ value: 50 });
    expect(strong!.items[0]!.words).toContain("Hm.\n[[A=B]]");
    expect(strong!.notes[0]).toBe("2 games got a verdict only when the judge was asked again");
    const once = (await measure(url, ["strong"], { attempts: 1 })).models[0]!;
    expect(once.failed).toBe(2);
    expect(once.items).toHaveLength(5);
  });

  test("v2.0 drops a question of which one game has no verdict, and takes a single bracket", async () => {
    const judge: Script = (text) => {
      const { at, a } = shown(text);
      return at === 0 && a === "baseline" ? "no" : `verdict: [${a === "baseline" ? "b>a" : "a>b"}]`;
    };
    const { url } = await serve(scripted({ ...models, judge }).handler);
    const [strong] = (await measure(url, ["strong"], { version: "v2.0", attempts: 1 })).models;
    expect(strong!.items.map(({ id }) => id)).toEqual(["q1", "q2", "q3", "q4", "q5"]);
    expect(strong!.figures.win_rate!.value).toBe(100);
    expect(strong!.failed).toBe(1);
    const [row] = jsonLines(join(folder, "arena_hard/model_judgment/judge/strong.jsonl"));
    expect(row).toMatchObject({ uid: "q0", baseline: "ours", games: [{ score: null }, { score: "A>B" }] });
  });
});

test("a model without an answer to a question is compared on the others", async () => {
  const { url } = await serve(
    scripted({ strong: (text) => (text === "question 2" ? 500 : models.strong!(text, [])), judge: fair }).handler,
  );
  const [strong] = (await measure(url, ["strong"])).models;
  expect(strong!.failed).toBe(1);
  expect(strong!.notes[0]).toMatch(/^1 answers could not be had: /);
  expect(strong!.items.map(({ id }) => id)).toEqual(["q0", "q1", "q3", "q4", "q5"]);
});

test("stopped in the middle, it goes on, and nothing that was answered is asked twice", async () => {
  const stops = [2, 5, 9, 14];
  let calls = 0;
  let stop = () => {};
  const { handler, answered } = scripted({ ...models, judge: fair });
  const { url } = await serve(async (call, answer, before) => {
    calls += 1;
    // Stopped before this call is answered.
    if (stops.includes(calls)) {
      stop();
      await new Promise((resolve) => setTimeout(resolve, 30));
      return void answer.destroy();
    }
    return handler(call, answer, before);
  });
  for (const _ of stops) {
    const controller = new AbortController();
    stop = () => controller.abort();
    await expect(measure(url, ["strong", "weak"], {}, controller.signal)).rejects.toThrow(/stopped/);
  }
  const result = await measure(url, ["strong", "weak"]);
  expect(answered).toHaveLength(2 * 6 * 3);
  expect(new Set(answered).size).toBe(answered.length);
  expect(result.models.map(({ figures }) => figures.win_rate!.value)).toEqual([100, 0]);
  const calm = await measure(url, ["strong", "weak"]);
  expect(calm).toEqual(result);
  expect(answered).toHaveLength(2 * 6 * 3);
});

describe("files that misbehave", () => {
  const judge = async () => answeringAt("http://127.0.0.1:9/v1", "judge");
  const refusal = async (
    change: Partial<BenchmarkRecipeOf<"arena_hard">>,
    models: readonly Contestant[] = [],
  ): Promise<DataError> => {
    const error: unknown = await withEvaluation(folder, async (evaluation) =>
      arenaHard(evaluation, { ...recipe, ...change }, models, await judge()),
    ).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DataError);
    return error as DataError;
  };

  test("are refused with file and line", async () => {
    const twice = writeLines(folder, "twice.jsonl", [questionRow(0), questionRow(1), questionRow(0)]);
    expect(await refusal({ questions: twice })).toMatchObject({
      message: "the id q0 stands here and on line 1",
      place: { file: twice, line: 3 },
    });
    const broken = writeLines(folder, "broken.jsonl", [questionRow(0), { question_id: "q1", turns: [] }]);
    expect(await refusal({ questions: broken })).toMatchObject({
      message: "is missing",
      place: { line: 2, field: "category" },
    });
    const lacking = writeLines(folder, "lacking.jsonl", [answerRow(0, "ours", "a")]);
    expect((await refusal({ baseline: lacking })).message).toBe("the baseline has no answer to question q1 (coding)");
    const others = writeLines(folder, "others.jsonl", [answerRow(77, "m", "a"), answerRow(78, "m", "b")]);
    expect(await refusal({}, [{ name: "m", outputs: { arena_hard: others } }])).toMatchObject({
      message: "none of its answers is to one of the questions",
      place: { file: others },
      hint: "It has answers to q77, q78, and the questions are q0, q1, q2, ....",
    });
  });

  test("answers in another order, to no question, twice or missing are counted", async () => {
    const rows = [
      answerRow(4, "m", "strong answer 4"),
      answerRow(9, "m", "to nothing"),
      answerRow(0, "m", "weak answer 0"),
      answerRow(0, "m", "strong answer 0 \u{1f600}"),
    ];
    const outputs = { arena_hard: writeLines(folder, "m.jsonl", rows, "\r\n") };
    const { url } = await serve(scripted({ judge: fair }).handler);
    const result = await withEvaluation(folder, async (evaluation) =>
      arenaHard(evaluation, recipe, [{ name: "m", outputs }], await answeringAt(url, "judge")),
    );
    const [measured] = result.models;
    expect(measured!.failed).toBe(4);
    expect(measured!.notes.slice(0, 3)).toEqual([
      "4 answers are not in its file",
      "1 of the file's answers are followed by another to the same question, which counts",
      "1 of the file's answers are to none of the questions and count nowhere",
    ]);
    expect(measured!.figures.win_rate!.value).toBe(100);
    // In code points.
    expect(measured!.length).toBe((15 + 17) / 2);
  });
});

describe("the official prompts", () => {
  const asked = async (config: string, change: Partial<BenchmarkRecipeOf<"arena_hard">> = {}) => {
    const prompt = join(folder, "judge.yaml");
    writeFileSync(prompt, config);
    const { handler, answered } = scripted({ ...models, judge: () => "[[A=B]]" });
    const { url } = await serve(handler);
    await measure(url, ["strong"], { prompt, limit: 1, ...change });
    return JSON.parse(answered.find((call) => call.startsWith('["judge"'))!)[1] as { role: string; content: string }[];
  };

  test("are read in the form of 2024 and of 2025", async () => {
    const earlier =
      'system_prompt: "Be a judge."\nprompt_template: ["Q {question_1} | {answer_1} | {answer_2} {{}}"]\n';
    const messages = [
      { role: "system", content: "Be a judge." },
      { role: "user", content: "Q question 0 | baseline answer 0 | strong answer to question 0 {}" },
    ];
    expect(await asked(earlier)).toEqual(messages);
    const later =
      'system_prompt: {coding: "Be a judge."}\nprompt_template: "Q {QUESTION} | {ANSWER_A} | {ANSWER_B} {{}}"\n';
    expect(await asked(later)).toEqual(messages);
  });

  test("are refused where something is missing", async () => {
    await expect(asked("prompt_template: '{QUESTION} {ANSWER_A} {ANSWER_B}'\n")).rejects.toMatchObject({
      place: { field: "system_prompt" },
      hint: expect.stringContaining("judge_utils.py"),
    });
    await expect(asked("system_prompt: x\nprompt_template: '{QUESTION} {ANSWER_A}'\n")).rejects.toThrow(
      "{ANSWER_B} is missing",
    );
    await expect(asked("system_prompt: x\nprompt_template: '{QUESTION} {NAME}'\n")).rejects.toThrow("{NAME}");
    await expect(asked("a: [")).rejects.toThrow(/no YAML/);
  });
});

test("the questions that come with Amalgam have a baseline each", async () => {
  const data = new URL("../../../../../suites/data/arena-hard/", import.meta.url).pathname;
  const { url } = await serve(scripted({ strong: models.strong!, judge: () => "[[B>A]]" }).handler);
  const result = await measure(url, ["strong"], {
    questions: join(data, "question.jsonl"),
    baseline: join(data, "baseline.jsonl"),
  });
  expect(result.models[0]!.items).toHaveLength(16);
  expect(Object.keys(result.models[0]!.categories)).toEqual(["coding", "math", "analysis", "writing"]);
  expect(readFileSync(join(folder, "arena_hard/model_answer/written-by-hand.jsonl"), "utf8").split("\n")).toHaveLength(
    17,
  );
});

test("a server can't be held to a form", async () => {
  const { url } = await serve(scripted({}).handler);
  await expect(measure(url, [], { verdict: "constrained" })).rejects.toThrow("a server can't be held");
});
