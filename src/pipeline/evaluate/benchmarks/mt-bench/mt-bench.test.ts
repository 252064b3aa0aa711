import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type BenchmarkRecipeOf, DataError } from "../../../../schema/index.ts";
import { serving } from "../../../../sources/testing/serving.ts";
import { jsonLines } from "../../../testing/tiny-world.ts";
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
import { mtBench } from "./index.ts";

type Recipe = BenchmarkRecipeOf<"mt_bench">;

const { serve } = serving();
const categories = ["writing", "math", "stem", "extraction"];
const questionRow = (at: number) => ({
  question_id: at,
  category: categories[at - 1],
  turns: [`first of ${at}`, `second of ${at}`],
});
const answerRow = (at: number, turns: readonly string[]) => ({
  question_id: at,
  model_id: "m",
  choices: [{ index: 0, turns }],
});

/** Answers by how often it was asked in the conversation. */
const speaker =
  (name: string): Script =>
  (text, all) =>
    `${name} says ${all.filter(({ role }) => role === "user").length} to ${text}`;
/** The question's number and turn, from what the judge reads. */
const shown = (text: string) => ({
  at: Number(/first of (\d)/.exec(text)![1]),
  turn: text.includes("second of") ? 2 : 1,
});

let folder: string;
let recipe: Recipe;
beforeEach(() => {
  folder = newFolder();
  const questions = writeLines(folder, "question.jsonl", [1, 2, 3, 4].map(questionRow), "\r\n");
  const references = writeLines(folder, "references.jsonl", [answerRow(2, ["right 1", "right 2"])]);
  recipe = benchmarkRecipe({ kind: "mt_bench", questions, references });
});

const measure = async (url: string, names: readonly string[], change: Partial<Recipe> = {}, signal?: AbortSignal) =>
  withEvaluation(
    folder,
    async (evaluation) => {
      const contestants = [];
      for (const name of names) contestants.push(contestant(await answeringAt(url, name)));
      return mtBench(evaluation, { ...recipe, ...change }, contestants, await answeringAt(url, "judge"));
    },
    signal,
  );

/** What a model was asked, by its last question: the conversation and the temperature. */
const callsOf = (calls: readonly { body: unknown }[], model: string) =>
  calls
    .map(({ body }) => body as { model: string; temperature: number; messages: { role: string; content: string }[] })
    .filter((body) => body.model === model);

test("two turns at the category's temperature, each rated; the second sees the first", async () => {
  const ratings: Readonly<Record<string, string>> = {
    "1/1": "[[10]]",
    "1/2": "[[7.5]]",
    "2/1": "[[3]]",
    "2/2": "[4]",
    "3/1": "[[8]]",
    "3/2": "[[9]]",
    "4/1": "[[1]]",
    "4/2": "[[2]]",
  };
  const judge: Script = (text) => {
    const { at, turn } = shown(text);
    return `Well put. Rating: ${ratings[`${at}/${turn}`]}`;
  };
  const server = await serve(scripted({ a: speaker("a"), judge }).handler);
  const result = await measure(server.url, ["a"]);
  const [a] = result.models;
  expect(a!.figures.score!.value).toBeCloseTo(44.5 / 8, 12);
  expect(a!.figures.turn_1!.value).toBe(5.5);
  expect(a!.figures.turn_2!.value).toBe(22.5 / 4);
  expect(Object.entries(a!.categories).map(([name, { value }]) => [name, value])).toEqual([
    ["writing", 8.75],
    ["math", 3.5],
    ["extraction", 1.5],
    ["stem", 8.5],
  ]);
  const [low, high] = a!.figures.score!.interval!;
  expect(low).toBeLessThan(44.5 / 8);
  expect(high).toBeGreaterThan(44.5 / 8);
  expect(a!.items.map(({ id, value }) => [id, value])).toEqual([
    ["1", 8.75],
    ["2", 3.5],
    ["3", 8.5],
    ["4", 1.5],
  ]);
  expect(a!.items[1]!.words).toBe("Turn 1: Well put. Rating: [[3]]\n\nTurn 2: Well put. Rating: [4]");
  expect(result).toMatchObject({ official: false, judge: "judge" });
  expect(a!.failed).toBe(0);

  const asked = callsOf(server.calls, "a");
  expect(asked.map(({ temperature }) => temperature).sort()).toEqual([0, 0, 0, 0, 0.1, 0.1, 0.7, 0.7]);
  expect(asked.find(({ messages }) => messages.length > 1 && messages[0]!.content === "first of 3")!.messages).toEqual([
    { role: "user", content: "first of 3" },
    { role: "assistant", content: "a says 1 to first of 3" },
    { role: "user", content: "second of 3" },
  ]);
  const judged = callsOf(server.calls, "judge").map(({ messages }) => messages[1]!.content);
  const second = judged.find((text) => text.includes("second of 2"))!;
  for (const part of ["right 1", "right 2", "a says 1 to first of 2", "a says 2 to second of 2"])
    expect(second).toContain(part);
  expect(judged.find((text) => text.includes("first of 2") && !text.includes("second of 2"))).not.toContain("right 2");
  expect(judged.filter((text) => text.includes("right"))).toHaveLength(2);

  const rows = jsonLines(join(folder, "mt_bench/model_judgment/judge_single.jsonl"));
  expect(rows).toHaveLength(8);
  expect(rows.find(({ question_id, turn }) => question_id === 2 && turn === 2)).toMatchObject({
    model: "a",
    judge: ["judge", "single-math-v1-multi-turn"],
    score: 4,
    user_prompt: second,
  });
  expect(jsonLines(join(folder, "mt_bench/model_answer/a.jsonl"))[0]).toMatchObject({
    question_id: 1,
    model_id: "a",
    choices: [{ index: 0, turns: ["a says 1 to first of 1", "a says 2 to second of 1"] }],
  });
});

describe("a judge that misbehaves", () => {
  const replies: Readonly<Record<string, ReturnType<Script>>> = {
    "1/1": "A fine answer, I'd say eight of ten.",
    "1/2": "",
    "2/1": { content: "Das ist", finish_reason: "length" },
    "2/2": 500,
    "3/1": "array[0] is wrong",
    "3/2": "[[6]] or [[7]]",
    "4/1": "[[9]]",
    "4/2": "I must decline.",
  };
  let mended = false;
  const judge: Script = (_, all) => {
    const { at, turn } = shown(all[1]!.content);
    return mended && at === 2 && turn === 2 ? "[[5]]" : replies[`${at}/${turn}`]!;
  };

  test("gives ratings where it gives some, and the rest counts nowhere; a call that failed is made again by the next run", async () => {
    mended = false;
    const { handler, answered } = scripted({ a: speaker("a"), judge });
    const { url } = await serve(handler);
    const [a] = (await measure(url, ["a"])).models;
    expect(a!.figures.score!.value).toBe((0 + 6 + 9) / 3);
    expect(a!.figures.turn_2!.value).toBe(6);
    expect(a!.failed).toBe(5);
    expect(a!.items.map(({ id, value }) => [id, value])).toEqual([
      ["3", 3],
      ["4", 9],
    ]);
    expect(a!.notes[0]).toMatch(/^5 ratings of 8 without a verdict/);
    expect(a!.notes).toContain("1 ratings lie outside 1 to 10 and are counted as they are, as FastChat does");
    expect(a!.notes).toContain("1 judgements name several verdicts, of which the first one counts, as in FastChat");
    const rows = jsonLines(join(folder, "mt_bench/model_judgment/judge_single.jsonl"));
    expect(rows.map(({ score }) => score)).toEqual([-1, -1, -1, -1, 0, 6, 9, -1]);
    expect(rows[3]!.judgment).toBe("$ERROR$");

    mended = true;
    const before = answered.length;
    const [after] = (await measure(url, ["a"])).models;
    // What had no verdict is asked anew, and followed up anew; the calls that failed are made again, an empty answer being one of them.
    expect(
      answered
        .slice(before)
        .map((call) => shown(call))
        .map(({ at, turn }) => `${at}/${turn}`)
        .sort(),
    ).toEqual(["1/1", "1/1", "1/2", "2/1", "2/1", "2/2", "4/2", "4/2"]);
    expect(after!.figures.score!.value).toBe((0 + 6 + 9 + 5) / 4);
    expect(after!.failed).toBe(4);
  });
});

test("an answer that can't be had leaves its turn out, and those behind it", async () => {
  const a: Script = (text, all) => (text === "second of 1" || text === "first of 3" ? 500 : speaker("a")(text, all));
  const { url } = await serve(scripted({ a, judge: () => "[[6]]" }).handler);
  const [measured] = (await measure(url, ["a"])).models;
  expect(measured!.failed).toBe(3);
  expect(measured!.notes[0]).toMatch(/^3 answers to turns could not be had: /);
  expect(jsonLines(join(folder, "mt_bench/model_judgment/judge_single.jsonl"))).toHaveLength(5);
});

test("stopped in the middle, it goes on, and nothing that was answered is asked twice", async () => {
  const stops = [3, 7, 10, 13];
  let calls = 0;
  let stop = () => {};
  const { handler, answered } = scripted({
    a: speaker("a"),
    judge: (text) => `[[${shown(text).at + shown(text).turn}]]`,
  });
  const { url } = await serve(async (call, answer, before) => {
    calls += 1;
    if (!stops.includes(calls)) return handler(call, answer, before);
    stop();
    await new Promise((resolve) => setTimeout(resolve, 30));
    answer.destroy();
  });
  for (const _ of stops) {
    const controller = new AbortController();
    stop = () => controller.abort();
    await expect(measure(url, ["a"], {}, controller.signal)).rejects.toThrow(/stopped/);
  }
  const result = await measure(url, ["a"]);
  expect(answered).toHaveLength(16);
  expect(new Set(answered).size).toBe(16);
  expect(result.models[0]!.figures.score!.value).toBe(4);
  expect(await measure(url, ["a"])).toEqual(result);
  expect(answered).toHaveLength(16);
});

test("pairwise: won where both orders say so, a game without verdict is no tie", async () => {
  // a wins question 1, loses 2, is told nothing clear on 3, and of 4 one game has no verdict.
  const judge: Script = (text) => {
    const { at } = shown(text);
    const first = text.indexOf("a says") < text.indexOf("base says") ? "A" : "B";
    const other = first === "A" ? "B" : "A";
    if (at === 4) return first === "A" ? "none" : `[[${first}]]`;
    return `[[${at === 1 ? first : at === 2 ? other : "A"}]]`;
  };
  const { url } = await serve(scripted({ a: speaker("a"), base: speaker("base"), judge }).handler);
  const result = await measure(url, ["base", "a"], { mode: "pairwise", baseline: "base", attempts: 1 });
  const [base, a] = result.models;
  expect(base).toMatchObject({
    model: "base",
    figures: { win_rate_adjusted: null, win_rate: null, loss_rate: null },
    failed: 0,
    notes: expect.arrayContaining(["the others are compared with its answers"]),
  });
  expect(a!.figures.win_rate_adjusted!.value).toBe(50);
  expect(a!.figures).toMatchObject({
    win_rate: { value: expect.closeTo(100 / 3, 9) },
    loss_rate: { value: expect.closeTo(100 / 3, 9) },
  });
  expect(a!.items.map(({ id, value }) => [id, value])).toEqual([
    ["1", 100],
    ["2", 0],
    ["3", 50],
  ]);
  expect(a!.failed).toBe(2);
  const rows = jsonLines(join(folder, "mt_bench/model_judgment/judge_pair.jsonl"));
  expect(rows.map(({ g1_winner, g2_winner }) => [g1_winner, g2_winner])).toEqual([
    ["model_1", "model_1"],
    ["model_1", "model_1"],
    ["model_2", "model_2"],
    ["model_2", "model_2"],
    ["model_1", "model_2"],
    ["model_1", "model_2"],
    ["error", "model_1"],
    ["error", "model_1"],
  ]);
  await expect(measure(url, ["a"], { mode: "pairwise", baseline: "bas" })).rejects.toThrow(/none of the models/);
});

describe("files", () => {
  test("FastChat's prompts are taken as they are", async () => {
    const places = { single: "{question}|{answer}", multi: "{question_1}|{answer_1}|{question_2}|{answer_2}" };
    const row = (name: string, prompt_template: string, system_prompt = "Judge.") => ({
      name,
      type: "single",
      system_prompt,
      prompt_template,
    });
    const rows = [
      row("single-v1", places.single, ""),
      row("single-math-v1", `${places.single}|{ref_answer_1}`),
      row("single-v1-multi-turn", places.multi),
      row("single-math-v1-multi-turn", `${places.multi}|{ref_answer_1}|{ref_answer_2}`),
    ];
    const prompt = writeLines(folder, "prompts.jsonl", rows);
    const server = await serve(scripted({ a: () => "x {y}", judge: () => "[[5]]" }).handler);
    await measure(server.url, ["a"], { prompt });
    const judged = callsOf(server.calls, "judge").map(({ messages }) => messages);
    expect(judged).toContainEqual([{ role: "user", content: "first of 1|x {y}" }]);
    expect(judged).toContainEqual([
      { role: "system", content: "Judge." },
      { role: "user", content: "first of 2|x {y}|second of 2|x {y}|right 1|right 2" },
    ]);
    const fewer = writeLines(folder, "fewer.jsonl", rows.slice(1));
    await expect(measure(server.url, ["a"], { prompt: fewer })).rejects.toThrow("there is no prompt single-v1");
  });

  const refusal = async (change: Partial<Recipe>): Promise<DataError> => {
    const error: unknown = await withEvaluation(folder, async (evaluation) =>
      mtBench(evaluation, { ...recipe, ...change }, [], await answeringAt("http://127.0.0.1:9/v1", "judge")),
    ).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DataError);
    return error as DataError;
  };

  test("are refused with file and line", async () => {
    const twice = writeLines(folder, "twice.jsonl", [questionRow(1), questionRow(1)]);
    expect(await refusal({ questions: twice })).toMatchObject({ place: { file: twice, line: 2 } });
    const three = writeLines(folder, "three.jsonl", [{ ...questionRow(1), turns: ["a", "b", "c"] }]);
    expect((await refusal({ questions: three })).place).toMatchObject({ line: 1, field: "turns" });
    expect((await refusal({ references: undefined })).message).toBe("question 2 (math) has no reference answer");
    const short = writeLines(folder, "short.jsonl", [answerRow(2, ["only one"])]);
    expect((await refusal({ references: short })).message).toMatch(/1 reference answers to 2 turns/);
  });

  test("answers of a file: a turn or a question that is missing is counted", async () => {
    const rows = [answerRow(4, ["a", "b"]), answerRow(1, ["a"]), answerRow(2, ["a", "b"]), answerRow(77, ["a", "b"])];
    const outputs = { mt_bench: writeLines(folder, "m.jsonl", rows) };
    const { url } = await serve(scripted({ judge: () => "[[7]]" }).handler);
    const result = await withEvaluation(folder, async (evaluation) =>
      mtBench(
        evaluation,
        recipe,
        [
          { name: "m", outputs },
          { name: "n", outputs: {} },
        ],
        await answeringAt(url, "judge"),
      ),
    );
    const [m, n] = result.models;
    expect(m!.failed).toBe(3);
    expect(m!.notes.slice(0, 2)).toEqual([
      "3 answers to turns are not in its file",
      "1 of the file's answers are to none of the questions and count nowhere",
    ]);
    expect(m!.figures.score!.value).toBe(7);
    expect(n).toMatchObject({
      figures: { score: null },
      notes: ["there is no file of its answers to mt_bench", expect.anything()],
    });
  });

  test("the questions that come with Amalgam: two of each category, references where they are needed", async () => {
    const data = new URL("../../../../../suites/data/mt-bench/", import.meta.url).pathname;
    const { url } = await serve(scripted({ a: speaker("a"), judge: () => "[[5]]" }).handler);
    const files = { questions: join(data, "question.jsonl"), references: join(data, "references.jsonl") };
    const [a] = (await measure(url, ["a"], files)).models;
    expect(a!.items).toHaveLength(16);
    expect(Object.keys(a!.categories)).toHaveLength(8);
  });
});
