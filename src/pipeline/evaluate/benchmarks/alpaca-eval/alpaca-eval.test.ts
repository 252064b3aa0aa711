import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { isSwitched } from "../../../../evaluation/index.ts";
import { SourceError } from "../../../../schema/index.ts";
import { completion, type Handler, sendJson, type TestChoice } from "../../../../sources/testing/local-server.ts";
import { serving } from "../../../../sources/testing/serving.ts";
import { leaderboard } from "../../../leaderboard/index.ts";
import {
  type Annotation,
  alpacaWorld,
  answering,
  own,
  preferLonger,
  type Row,
  seen,
} from "../../testing/alpaca-world.ts";

const { folder, newFolder, file, read, evaluate, outputs, rival, remove } = alpacaWorld();
afterAll(remove);
const { serve } = serving();

test("outputs are judged in the order drawn from the instruction, and the files are alpaca-eval's", async () => {
  const { url, calls } = await serve(preferLonger);
  const same = own.map((row) => ({ ...row, generator: "copy" }));
  const output = join(folder, "whole");
  const result = await evaluate({ judge: url, models: [outputs(rival, "rival"), outputs(same, "copy")], output });
  expect(result).toMatchObject({ benchmark: "alpaca_eval", judge: "small-judge", official: false });
  expect(result.columns.map(({ key }) => key)).toEqual(["win_rate", "discrete_win_rate", "avg_length"]);
  const [measured, copy] = result.models;
  // Alike outputs are draws, and nobody is asked.
  expect(copy!.figures).toMatchObject({ win_rate: { value: 50 }, discrete_win_rate: { value: 50 } });
  expect(calls).toHaveLength(24);
  for (const { body } of calls) {
    const { instruction, first, second } = seen(body.messages.at(-1)!.content);
    const at = own.findIndex((row) => row.instruction === instruction);
    const pair = [own[at]!.output, rival[at]!.output];
    expect([first, second]).toEqual(isSwitched(instruction) ? pair.reverse() : pair);
  }
  expect(measured!.figures.win_rate!.value).toBeCloseTo(50, 9);
  expect(measured!.items.map(({ value }) => Math.round(value))).toEqual(own.map((_, at) => (at % 2 === 0 ? 80 : 20)));
  expect(measured!.failed).toBe(0);
  expect(Object.keys(measured!.categories)).toEqual([...new Set(own.map(({ dataset }) => dataset))]);
  expect(measured!.categories.everyday!.value).toBeCloseTo(50, 9);
  // A sign outside the basic plane is one character.
  const characters = rival.map((row) => [...row.output].length);
  expect(measured!.length).toBeCloseTo(characters.reduce((sum, one) => sum + one, 0) / 24, 9);

  const written = read<Row[]>(join(output, "alpaca_eval/rival/model_outputs.json"));
  expect(written).toEqual(rival);
  const annotations = join(output, "alpaca_eval/rival/annotations.json");
  expect(read<object[]>(annotations)[0]).toMatchObject({
    instruction: own[0]!.instruction,
    dataset: "everyday",
    output_1: own[0]!.output,
    generator_1: "amalgam_baseline",
    output_2: rival[0]!.output,
    generator_2: "rival",
    annotator: "small-judge",
  });
  const [row] = await leaderboard([annotations], undefined);
  expect(row).toMatchObject({
    model: "rival",
    judge: "small-judge",
    n_total: 24,
    n_wins: 12,
    n_wins_base: 12,
    official: false,
  });
  expect(row!.win_rate).toBe(measured!.figures.win_rate!.value);
  const [head, ...lines] = readFileSync(join(output, "alpaca_eval/leaderboard.csv"), "utf8").trim().split("\n");
  expect(head).toMatch(/^,win_rate,standard_error,n_wins,/);
  expect(lines.map((line) => line.split(",")[0])).toEqual(expect.arrayContaining(["rival", "copy"]));
});

test("with df_gamed.csv the length-controlled rate stands first, and within the data sets", async () => {
  const { url } = await serve(preferLonger);
  const { instruction_difficulty, gamed } = read<{
    instruction_difficulty: number[];
    gamed: Record<"index" | "preference" | "std_delta_len", number[]>;
  }>(fileURLToPath(new URL("../../../../evaluation/fixtures/alpaca-eval/glm_reference.json", import.meta.url)));
  const rows = gamed.index.map((index, k) =>
    [gamed.preference[k], index, gamed.std_delta_len[k], instruction_difficulty[index]].join(),
  );
  const table = file(["preference,index,std_delta_len,instruction_difficulty", ...rows].join("\n"), "csv");
  const output = join(folder, "controlled");
  const benchmark = { gamed: table };
  const result = await evaluate({ judge: url, models: [outputs(rival, "rival")], benchmark, output });
  expect(result.columns[0]!.key).toBe("length_controlled_winrate");
  const [model] = result.models;
  const files = [join(output, "alpaca_eval/rival/annotations.json")];
  const [row] = await leaderboard(files, table);
  expect(model!.figures.length_controlled_winrate).toEqual({
    value: row!.length_controlled_winrate,
    standardError: row!.lc_standard_error,
  });
  const categories = Object.values(model!.categories).map(({ value }) => value);
  // Four questions to each data set.
  expect(categories.reduce((sum, value) => sum + value, 0) / 6).toBeCloseTo(row!.length_controlled_winrate!, 9);
  expect(model!.notes.join()).toContain("not AlpacaEval's 805 in their order");
  const [vector] = await leaderboard(files, table, "avx512");
  const other = await evaluate({
    judge: url,
    models: [outputs(rival, "rival")],
    benchmark: { ...benchmark, fold_order: "avx512" },
    output,
  });
  expect(other.models[0]!.figures.length_controlled_winrate!.value).toBe(vector!.length_controlled_winrate);
});

test("a model is asked as alpaca-eval asks, its answers are stripped, and one that does not come is a failure", async () => {
  const judge = await serve(preferLonger);
  const model = await serve(({ body }, answer) => {
    if (body.messages[0]!.content === own[3]!.instruction)
      return sendJson(answer, 400, { error: { message: "no", type: "x" } });
    sendJson(answer, 200, completion([{ content: "\n An answer that goes on. ", finish_reason: "length" }]));
  });
  const models = [{ name: "asked", endpoint: { url: model.url, model: "m", retries: 0 } }];
  const output = join(folder, "asked");
  const settings = { judge: judge.url, models, benchmark: { limit: 6 }, output };
  const { models: found } = await evaluate(settings);
  expect(model.calls).toHaveLength(6);
  expect(model.calls[0]!.body).toMatchObject({ temperature: 0.7, top_p: 1, max_tokens: 2048 });
  expect(found[0]).toMatchObject({ model: "asked", failed: 1 });
  expect(found[0]!.items).toHaveLength(5);
  expect(found[0]!.items[0]!.answer).toBe("An answer that goes on.");
  expect(found[0]!.notes.join()).toMatch(/1 questions have no answer.*5 answers were cut at 2048 tokens/);
  // What failed is asked for again, and nothing else is.
  await evaluate(settings);
  expect(model.calls).toHaveLength(7);
  expect(judge.calls).toHaveLength(5);
});

describe("a judge that misbehaves", () => {
  const third = own[2]!.instruction;
  /** Odd on one of the first six questions. */
  const odd =
    (misbehave: Handler): Handler =>
    (call, answer, before) =>
      seen(call.body.messages.at(-1)!.content).instruction === third
        ? misbehave(call, answer, before)
        : preferLonger(call, answer, before);
  const saying =
    (choice: TestChoice): Handler =>
    (_, answer) =>
      sendJson(answer, 200, completion([choice], 1));

  test.each([
    ["prose", saying(answering({ The: -0.1, Both: -3 })), "neither m nor M"],
    ["both labels in a token", saying(answering({ "m or M": -0.1 })), "neither m nor M"],
    ["a wrong language", saying(answering({ Обе: -0.1, м: -3 })), "neither m nor M"],
    ["a refusal", saying({ content: null, refusal: "I can't." }), "refused"],
    ["nothing", saying({ content: "", logprobs: { content: [] } }), "empty"],
    ["a filter", saying({ content: "", finish_reason: "content_filter" }), "filter"],
    ["log-probs over 0", saying(answering({ m: 4, M: 2 })), "log-probs"],
    ["null for all", saying(answering({ m: null, M: null })), "without the log-probs"],
    ["no log-probs", saying({ content: "m" }), "without the log-probs"],
    [
      "NaN",
      ((_, answer) =>
        void answer
          .writeHead(200, { "content-type": "application/json" })
          .end(
            JSON.stringify(completion([answering({ m: 1.5, M: -1 })], 1)).replaceAll("1.5", "NaN"),
          )) satisfies Handler,
      "",
    ],
    ["a cut answer", ((_, answer) => void answer.writeHead(200).end('{"choices": [')) satisfies Handler, ""],
    ["an error", ((_, answer) => sendJson(answer, 500, {})) satisfies Handler, ""],
  ] as [string, Handler, string][])(
    "with %s: a failure that is counted, asked for again and never a tie",
    async (_, misbehave, words) => {
      let mended = false;
      const handler = odd(misbehave);
      const { url, calls } = await serve((call, answer, before) =>
        mended ? preferLonger(call, answer, before) : handler(call, answer, before),
      );
      const settings = {
        judge: url,
        models: [outputs(rival)],
        benchmark: { limit: 6 },
        output: newFolder(),
      };
      const [model] = (await evaluate(settings)).models;
      expect(model).toMatchObject({ failed: 1 });
      expect(model!.items.map(({ id }) => id)).toHaveLength(5);
      expect(model!.figures.win_rate!.value).toBeCloseTo((2 * 80 + 3 * 20) / 5, 6);
      expect(model!.notes.join()).toContain("1 comparisons have no verdict and count nowhere");
      expect(model!.notes.join()).toContain(words);
      const annotated = read<Annotation[]>(join(settings.output, "alpaca_eval/other/annotations.json"));
      expect(annotated.map(({ preference }) => preference === null)).toEqual([false, false, true, false, false, false]);
      expect(calls).toHaveLength(6);
      mended = true;
      const [again] = (await evaluate(settings)).models;
      expect(again).toMatchObject({ failed: 0, notes: [] });
      expect(calls).toHaveLength(7);
    },
  );

  test("with one label among its most probable tokens: the other has probability 0", async () => {
    const { url } = await serve(saying(answering({ m: -0.4, The: -2 })));
    const { models } = await evaluate({ judge: url, models: [outputs(rival)], benchmark: { limit: 6 } });
    expect(models[0]!.items.map(({ value }) => value)).toEqual(
      own.slice(0, 6).map(({ instruction }) => (isSwitched(instruction) ? 100 : 0)),
    );
  });

  test("an endpoint without log-probs is an error that names the way out, and the way out goes", async () => {
    let text = "m";
    const { url, calls } = await serve((_, answer) => sendJson(answer, 200, completion([text])));
    const settings = { judge: url, models: [outputs(rival)], output: join(folder, "written") };
    const error: unknown = await evaluate({ ...settings, benchmark: { limit: 6 } }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SourceError);
    expect((error as SourceError).hint).toContain("preference: written");
    const before = calls.length;
    const benchmark = { limit: 6, preference: "written" };
    const written = await evaluate({ ...settings, benchmark });
    expect(written.official).toBe(false);
    expect(written.models[0]!.items.map(({ value }) => value)).toEqual(
      own.slice(0, 6).map(({ instruction }) => (isSwitched(instruction) ? 100 : 0)),
    );
    expect(calls).toHaveLength(before + 6);
    text = "Both m and M are fine.";
    const prose = await evaluate({ ...settings, benchmark, output: join(folder, "prose") });
    expect(prose.models[0]).toMatchObject({ failed: 6, figures: { win_rate: null }, items: [] });
    expect(prose.models[0]!.notes.join()).toContain("neither m nor M alone");
  });
});

test("stopped in the middle and begun anew, nothing is asked twice and the figures are the same", async () => {
  const whole = await serve(preferLonger);
  const wanted = await evaluate({ judge: whole.url, models: [outputs(rival)] });
  const stop = new AbortController();
  const { url, calls } = await serve((call, answer, before) => {
    if (before === 9) stop.abort();
    return preferLonger(call, answer, before);
  });
  const settings = { judge: url, models: [outputs(rival)], output: join(folder, "stopped") };
  await expect(evaluate({ ...settings, signal: stop.signal })).rejects.toThrow();
  const before = calls.length;
  expect(before).toBeLessThan(13);
  const found = await evaluate(settings);
  expect(found).toEqual(wanted);
  // What was under way at the stop may be asked again: at most two calls were.
  expect(calls.length).toBeLessThanOrEqual(24 + 2);
  const answered = calls.slice(0, 8).map(({ body }) => seen(body.messages.at(-1)!.content).instruction);
  const again = calls.slice(before).map(({ body }) => seen(body.messages.at(-1)!.content).instruction);
  expect(again.filter((instruction) => answered.slice(0, 7).includes(instruction))).toEqual([]);
  await evaluate(settings);
  expect(calls.length).toBeLessThanOrEqual(24 + 2);
});
