import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type BenchmarkResult, isSwitched } from "../../../../evaluation/index.ts";
import { SourceError } from "../../../../schema/index.ts";
import { completion, type Handler, sendJson, type TestChoice } from "../../../../sources/testing/local-server.ts";
import { serving } from "../../../../sources/testing/serving.ts";
import type { Listener } from "../../../events.ts";
import { leaderboard } from "../../../leaderboard/index.ts";
import { evaluateSuite } from "../../index.ts";

interface Row {
  readonly dataset?: string;
  readonly instruction: string;
  readonly output: string;
  readonly generator: string;
}
interface Annotation {
  readonly instruction: string;
  readonly output_1: string;
  readonly output_2: string;
  readonly preference: number | null;
}

const ownFile = fileURLToPath(new URL("../../../../../suites/data/alpaca-eval/questions.json", import.meta.url));
const own = JSON.parse(readFileSync(ownFile, "utf8")) as readonly Row[];
const folder = mkdtempSync(join(tmpdir(), "amalgam-alpaca-eval-"));
afterAll(() => rmSync(folder, { recursive: true }));
const quiet: Listener = { progress: () => {}, notice: () => {} } as unknown as Listener;
let files = 0;
const file = (content: unknown, ends = "json"): string => {
  files += 1;
  const path = join(folder, `file-${files}.${ends}`);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
};
const read = <Value>(path: string): Value => JSON.parse(readFileSync(path, "utf8")) as Value;

const { serve } = serving();

/** What the judge is shown: the texts of Amalgam's own prompt. */
const shown =
  /<request>\n(?<instruction>.*)\n<\/request>\n\n<answer name="m">\n(?<first>.*)\n<\/answer>\n\n<answer name="M">\n(?<second>.*)\n<\/answer>/s;
const seen = (content: string) => shown.exec(content)!.groups as { instruction: string; first: string; second: string };

const answering = (top: Readonly<Record<string, number | null>>): TestChoice => {
  const tokens = Object.entries(top).map(([token, logprob]) => ({ token, logprob, bytes: null }));
  const [said] = tokens;
  return { content: said!.token, finish_reason: "length", logprobs: { content: [{ ...said!, top_logprobs: tokens }] } };
};

/** A judge that gives the longer output four fifths. */
const preferLonger: Handler = ({ body }, answer) => {
  const { first, second } = seen(body.messages.at(-1)!.content);
  const [m, M] = first.length > second.length ? [0.8, 0.2] : [0.2, 0.8];
  sendJson(answer, 200, completion([answering({ M: Math.log(M! * 0.99), m: Math.log(m! * 0.99), The: -9 })], 1));
};

interface Settings {
  readonly judge: string;
  readonly models: readonly object[];
  readonly benchmark?: object;
  readonly output?: string;
  readonly signal?: AbortSignal;
}

async function evaluate({ judge, models, benchmark = {}, output, signal }: Settings): Promise<BenchmarkResult> {
  const suite = file(
    {
      judge: { name: "small-judge", endpoint: { url: judge, model: "j", retries: 0, concurrency: 2 } },
      models,
      benchmarks: [{ kind: "alpaca_eval", questions: ownFile, ...benchmark }],
    },
    "yaml",
  );
  files += 1;
  const {
    results: [result],
  } = await evaluateSuite({
    models: [],
    suite,
    folder: output ?? join(folder, `evaluation-${files}`),
    signal: signal ?? new AbortController().signal,
    listener: quiet,
  });
  return result!;
}

const outputs = (rows: readonly object[], name = "other") => ({ name, outputs: { alpaca_eval: file(rows) } });
/** A model whose every second output is longer than the baseline's, and the others shorter. */
const rival = own.map(({ dataset, instruction, output }, at) => ({
  dataset,
  instruction,
  output: at % 2 === 0 ? `${output} 🙂` : output.slice(0, 20),
  generator: "rival",
}));

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
        output: join(folder, `odd-${files}`),
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
