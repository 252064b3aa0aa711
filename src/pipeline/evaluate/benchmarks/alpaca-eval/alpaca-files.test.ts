import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isSwitched } from "../../../../evaluation/index.ts";
import { completion, sendJson } from "../../../../sources/testing/local-server.ts";
import { serving } from "../../../../sources/testing/serving.ts";
import { leaderboard } from "../../../leaderboard/index.ts";
import { alpacaWorld, answering, own, preferLonger } from "../../testing/alpaca-world.ts";

const { folder, file, evaluate, outputs, rival, remove } = alpacaWorld();
afterAll(remove);
const { serve } = serving();

describe("files that misbehave", () => {
  const judgedBy = async (rows: readonly object[] | string, benchmark: object = {}, ends = "json") => {
    const { url } = await serve(preferLonger);
    const model = { name: "other", outputs: { alpaca_eval: file(rows, ends) } };
    const { models } = await evaluate({ judge: url, models: [model], benchmark });
    return models[0]!;
  };

  test("outputs in another order and rows that stand twice are as if they were in order and once", async () => {
    const wanted = await judgedBy(rival);
    const found = await judgedBy([...rival].reverse().concat(rival.slice(0, 2)));
    expect(found).toEqual({ ...wanted, notes: ["2 rows of its outputs stand twice and count once"] });
  });

  test("JSONL with CRLF line ends, escaped signs beyond the basic plane, line ends within instructions", async () => {
    const lines = rival.map((row) => JSON.stringify(row).replaceAll("🙂", "\\ud83d\\ude42")).join("\r\n");
    expect(await judgedBy(`${lines}\r\n`, {}, "jsonl")).toEqual(await judgedBy(rival));
    const questions = file([
      { instruction: "One\r\ntwo", output: "A", generator: "b" },
      { instruction: "Three", output: "B", generator: "b" },
    ]);
    const found = await judgedBy(
      [
        { instruction: "One\ntwo", output: "C" },
        { instruction: "Three", output: "long" },
      ],
      { questions },
    );
    expect(found.items).toHaveLength(1);
    expect(found).toMatchObject({ failed: 1 });
    expect(found.notes[0]).toBe(
      "1 of 2 questions have no output; 1 of them differ only in line ends or blanks at the ends",
    );
  });

  test("outputs that are missing and outputs to other questions are told", async () => {
    const found = await judgedBy([...rival.slice(2), { instruction: "Something else", output: "Yes." }]);
    expect(found.items).toHaveLength(22);
    expect(found).toMatchObject({
      failed: 2,
      notes: ["2 of 24 questions have no output", "1 outputs are for none of the questions and count nowhere"],
    });
  });

  test.each([
    ["no instruction", [{ output: "x" }], { field: "instruction" }, "is missing"],
    ["no output", [{ instruction: "x", output: null }], { field: "output" }, ""],
    ["an empty instruction", [{ instruction: " ", output: "x" }], { field: "instruction" }, "is empty"],
    ["half a sign", '[{"instruction": "x", "output": "\\ud83d"}]', { field: "output" }, "surrogate"],
    ["two outputs", [rival[0]!, { ...rival[0]!, output: "z" }], { field: "instruction" }, "with another output"],
    ["none of the questions", [{ instruction: "x", output: "y" }], {}, "none of its outputs"],
    ["no rows", "[]", {}, "no rows"],
  ])("%s is an error that names the place", async (_, rows, place, message) => {
    await expect(judgedBy(rows)).rejects.toMatchObject({
      message: expect.stringContaining(message),
      place: expect.objectContaining(place),
    });
  });

  test("a baseline in a file of its own, prompt rows as questions, and questions without an output of it", async () => {
    const questions = file(own.map(({ instruction }) => JSON.stringify({ prompt: instruction })).join("\n"), "jsonl");
    const baseline = file([...own].reverse().slice(1));
    const found = await judgedBy(rival, { questions, baseline });
    expect(found.items).toHaveLength(23);
    expect(found.notes).toContain("1 of 24 questions have no output of the baseline and are left out");
    await expect(judgedBy(rival, { questions })).rejects.toThrow("no question has an output of the baseline");
    const several = file(own.map((row, at) => ({ ...row, generator: `b${at % 2}` })));
    await expect(judgedBy(rival, { baseline: several })).rejects.toThrow("of several: b0, b1");
  });
});

test("a prompt in AlpacaEval's form is put as its turns, and texts in it stay as they are", async () => {
  const { url, calls } = await serve((_, answer) =>
    sendJson(answer, 200, completion([answering({ m: -0.1, M: -3 })], 1)),
  );
  const prompt = file(
    "<|im_start|>system\r\nYou compare.\r\n<|im_end|>\r\n<|im_start|>user\r\nQ: {instruction}\r\nm: {output_1}\r\nM: {output_2}\r\n<|im_end|>",
    "txt",
  );
  const questions = file([{ instruction: "Say {output_1} $&", output: "<|im_end|> {output_2}", generator: "b" }]);
  const model = outputs([{ instruction: "Say {output_1} $&", output: "{instruction}" }]);
  await evaluate({ judge: url, models: [model], benchmark: { questions, prompt } });
  const pair = ["<|im_end|> {output_2}", "{instruction}"];
  const [first, second] = isSwitched("Say {output_1} $&") ? pair.reverse() : pair;
  expect(calls[0]!.body.messages).toEqual([
    { role: "system", content: "You compare." },
    { role: "user", content: `Q: Say {output_1} $&\nm: ${first}\nM: ${second}` },
  ]);
  const lacking = file("Which of {output_1} and {output_2}?", "txt");
  await expect(
    evaluate({ judge: url, models: [model], benchmark: { questions, prompt: lacking } }),
  ).rejects.toMatchObject({
    message: "the judge's prompt lacks {instruction}",
    place: { file: lacking },
  });
});

test("no judge is the official one by its name or model alone", async () => {
  const { url } = await serve(preferLonger);
  const output = join(folder, "named");
  const result = await evaluate({
    judge: url,
    models: [outputs(rival)],
    benchmark: {
      limit: 4,
      judge: { name: "weighted_alpaca_eval_gpt4_turbo", endpoint: { url, model: "gpt-4-1106-preview" } },
    },
    output,
  });
  expect(result.official).toBe(false);
  const [row] = await leaderboard([join(output, "alpaca_eval/other/annotations.json")], undefined);
  expect(row).toMatchObject({ judge: "weighted_alpaca_eval_gpt4_turbo_own", official: false });
});
