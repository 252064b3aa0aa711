import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { DataError, type Prompt, type PromptSetRecipe } from "../schema/index.ts";
import { contaminations } from "./contamination.ts";
import { nearDuplicates } from "./near-duplicates.ts";
import { readPromptSet } from "./prompt-sets.ts";
import { stratifiedSample } from "./strata.ts";
import { trainingPrompts } from "./training-prompts.ts";
import { wordsOf } from "./words.ts";

const folder = mkdtempSync(join(tmpdir(), "prompt-sets-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fixture = (name: string) => fileURLToPath(new URL(`../data/fixtures/${name}`, import.meta.url));

let state = 7;
const random = (below: number): number => {
  state = (state * 48_271) % 2_147_483_647;
  return state % below;
};
const vocabulary = Array.from({ length: 400 }, (_, i) => `w${(i * 7919).toString(36)}`);
const text = (words: number) => Array.from({ length: words }, () => vocabulary[random(vocabulary.length)]!);

describe("sets of prompts", () => {
  const read = async (path: string, recipe: Partial<Omit<PromptSetRecipe, "file">>) =>
    (await readPromptSet(path, recipe)).map(({ prompt }) => prompt);

  test.each(["saved", "dict", "hub", "rows.csv"])("the same prompts from %s", async (name) => {
    const prompts = await read(fixture(name), { fields: { prompt: "instruction", id: "uid", domain: "category" } });
    expect(prompts).toHaveLength(12);
    expect(prompts[3]).toEqual({
      id: "row-3",
      messages: [{ role: "user", content: 'Question 3, "quoted" – ünï 🌍\nand a line' }],
      checks: [],
      domain: "b",
    });
  });

  test("conversations of several turns; answers at the end are left away; ShareGPT's names", async () => {
    const fields = { messages: "turns" };
    expect((await read(fixture("saved"), { fields, limit: 1 }))[0]!.messages).toEqual([
      { role: "user", content: "Hi 0" },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "And 0?" },
    ]);
    const file = join(folder, "sharegpt.jsonl");
    const turns = [
      { from: "human", value: "Q" },
      { from: "gpt", value: "A" },
    ];
    writeFileSync(file, `${JSON.stringify({ turns, more: 1 })}\n`);
    expect((await read(file, { fields }))[0]!.messages).toEqual([{ role: "user", content: "Q" }]);
  });

  test.each<[string, string, PromptSetRecipe["fields"], RegExp, object]>([
    ["no such field", '{"text": "a"}', { prompt: "question" }, /has no question/, { line: 1 }],
    ["an empty prompt", '{"q": "a"}\n{"q": " "}', { prompt: "q" }, /empty/, { line: 2, field: "q" }],
    [
      "a role that is none",
      '{"m": [{"role": "tool", "content": "x"}, {"role": "user", "content": "y"}]}',
      { messages: "m" },
      /role tool/,
      { line: 1, field: "m.0" },
    ],
    [
      "an id that is a list",
      '{"q": "a", "i": [1]}',
      { prompt: "q", id: "i" },
      /should be a text or a number/,
      { field: "i" },
    ],
    ["checks that are no JSON", '{"q": "a", "c": "{"}', { prompt: "q", checks: "c" }, /no JSON/, { field: "c" }],
    ["no rows", "\n", { prompt: "q" }, /no prompts/, {}],
  ])("%s is told with its place; skipped where the recipe says so", async (_, content, fields, message, place) => {
    const file = join(folder, "bad.jsonl");
    writeFileSync(file, content);
    const expected = { message: expect.stringMatching(message) as string, place: { file, ...place } };
    const error: unknown = await read(file, { fields }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DataError);
    expect(error).toMatchObject(expected);
    if (content === "\n") return;
    const skipped: DataError[] = [];
    writeFileSync(file, `${content}\n{"${Object.values(fields!)[0]}": "good"}\n{broken\n`);
    const good = await readPromptSet(file, { fields, bad_rows: "skip" }, (bad) => skipped.push(bad));
    expect(good.at(-1)!.prompt.messages).toEqual([{ role: "user", content: "good" }]);
    expect(skipped[0]).toMatchObject(expected);
    expect(skipped[1]!.message).toMatch(/not JSON/);
    expect(good.length + skipped.length).toBe(content.split("\n").length + 2);
  });

  test("`limit` counts rows that are passed over, whatever is wrong with them", async () => {
    const file = join(folder, "limited.jsonl");
    const rows = ['{"prompt": "a"}', "{broken", '{"prompt": 1}', '{"prompt": "b"}', "{broken", '{"prompt": "c"}'];
    writeFileSync(file, rows.join("\n"));
    const first = async (limit: number) => {
      const lines: (number | undefined)[] = [];
      const good = await readPromptSet(file, { bad_rows: "skip", limit }, ({ place }) => lines.push(place.line));
      return [good.map(({ prompt }) => prompt.messages[0]!.content).join(""), ...lines];
    };
    expect(await Promise.all([1, 2, 3, 4, 5, 6, 7].map(first))).toEqual([
      ["a"],
      ["a", 2],
      ["a", 2, 3],
      ["ab", 2, 3],
      ["ab", 2, 3, 5],
      ["abc", 2, 3, 5],
      ["abc", 2, 3, 5],
    ]);
  });
});

describe("near duplicates", () => {
  const pieces = (given: string): Set<string> => {
    const plain = wordsOf(given).join(" ");
    return new Set(Array.from({ length: Math.max(1, plain.length - 4) }, (_, at) => plain.slice(at, at + 5)));
  };
  const known = new Map<string, Set<string>>();
  const cached = (given: string): Set<string> => {
    const found = known.get(given) ?? pieces(given);
    known.set(given, found);
    return found;
  };
  const similarity = (a: string, b: string): number => {
    const [one, other] = [cached(a), cached(b)];
    const common = [...one].filter((piece) => other.has(piece)).length;
    return common / (one.size + other.size - common);
  };

  test("a column that isn't there is told once, with those that are; so are rows none of which is a prompt", async () => {
    const table = join(folder, "columns.csv");
    writeFileSync(table, "id,question\na,one\nb,two\n");
    const rows = join(folder, "columns.jsonl");
    writeFileSync(rows, '{"id": "a", "question": "one"}\n{"id": "b", "question": "two"}\n');
    for (const bad_rows of ["error", "skip"] as const)
      await expect(readPromptSet(table, { fields: { prompt: "questions" }, bad_rows })).rejects.toMatchObject({
        message: "there is no column questions",
        hint: expect.stringMatching(/^Did you mean question\? Its columns are id, question;/),
      });
    await expect(readPromptSet(rows, { fields: { prompt: "prompt" }, bad_rows: "skip" })).rejects.toMatchObject({
      message: "none of its 2 rows is a prompt: the row has no prompt",
      hint: expect.stringContaining("as {prompt: question}"),
    });
  });

  test.each([0.5, 0.7, 0.9])("at least 98 of 100 pairs over %f are found, and none below", (threshold) => {
    const texts: string[] = [];
    for (let i = 0; i < 120; i += 1) {
      const words = text(30);
      texts.push(words.join(" "));
      // Copies with a few words changed, from very like to not very.
      for (const changes of [1, 2, 4, 8]) {
        const copy = [...words];
        for (let change = 0; change < changes; change += 1) copy[random(copy.length)] = vocabulary[random(400)]!;
        texts.push(copy.join(" "));
      }
    }
    const found = nearDuplicates(texts, threshold);
    const gone = new Set(found.map(({ index }) => index));
    for (const { index, of, similarity: told } of found) {
      expect(told).toBeCloseTo(similarity(texts[index]!, texts[of]!), 12);
      expect(told).toBeGreaterThanOrEqual(threshold);
      expect(of).toBeLessThan(index);
      expect(gone.has(of)).toBe(false);
    }
    // By comparing every pair: the later of two goes if the earlier has stayed.
    const expected = new Set<number>();
    for (const [index, one] of texts.entries())
      for (let of = 0; of < index && !expected.has(index); of += 1)
        if (!expected.has(of) && similarity(one, texts[of]!) >= threshold) expected.add(index);
    expect(expected.size).toBeGreaterThan(100);
    const missed = [...expected].filter((index) => !gone.has(index)).length;
    expect(missed / expected.size).toBeLessThan(0.02);
  });

  test("case, punctuation and white space make no difference; short and empty texts are compared whole", () => {
    const texts = ["Name a tree, please!", "name  a tree\nplease", "a", "b", "A.", "", "!"];
    expect(nearDuplicates(texts, 1).map(({ index, of }) => [index, of])).toEqual([
      [1, 0],
      [4, 2],
      [6, 5],
    ]);
  });
});

describe("contamination", () => {
  test("a planted run of words is found, whatever is around it; a shorter one is not", () => {
    const against = Array.from({ length: 50 }, () => text(40));
    const planted = Array.from({ length: 40 }, (_, i) => {
      const [run, length] = [against[i]!, i % 2 === 0 ? 13 : 12];
      return [...text(9), "before", ...run.slice(5, 5 + length), "after", ...text(11)]
        .join(i % 3 === 0 ? ", " : " ")
        .toUpperCase();
    });
    const found = contaminations(
      planted,
      against.map((words) => words.join(" ")),
      13,
    );
    expect(found.map(({ index, with: other }) => [index, other])).toEqual(
      Array.from({ length: 20 }, (_, i) => [2 * i, 2 * i]),
    );
    // One of the 35 - 13 + 1 runs of the text.
    for (const { overlap } of found) expect(overlap).toBeCloseTo(1 / 23, 12);
  });

  test("texts of an evaluation set that are shorter than the run", () => {
    const against = ["What is the capital of France?", "Hello", "东京的人口是多少"];
    const texts = [
      "Please tell me: what is the capital of France and why?",
      "What is the capital of Spain?",
      "hello!",
      "Hello there, how are you?",
      "请问东京的人口是多少？",
    ];
    expect(contaminations(texts, against, 13)).toEqual([
      { index: 0, with: 0, overlap: 1 / 6 },
      { index: 2, with: 1, overlap: 1 },
      { index: 4, with: 2, overlap: 1 / 3 },
    ]);
  });
});

describe("a sample by domain", () => {
  const members = Array.from({ length: 100 }, (_, i) => ({ id: `m${i}`, domain: i < 70 ? "a" : i < 95 ? "b" : "c" }));
  const counts = (sample: readonly { domain: string }[]) =>
    ["a", "b", "c"].map((name) => sample.filter(({ domain }) => domain === name).length);

  test.each([
    ["proportional", 20, [14, 5, 1]],
    ["proportional", 33, [23, 8, 2]],
    ["equal", 30, [13, 12, 5]],
    ["equal", 9, [3, 3, 3]],
    ["equal", 99, [69, 25, 5]],
    ["proportional", 100, [70, 25, 5]],
    ["proportional", 500, [70, 25, 5]],
  ] as const)("%s, %i", (domains, size, expected) => {
    expect(counts(stratifiedSample(members, size, domains, 1))).toEqual(expected);
  });

  test("the seed decides, the order does not", () => {
    const ids = (given: readonly { id: string; domain: string }[], seed: number) =>
      stratifiedSample(given, 20, "proportional", seed)
        .map(({ id }) => id)
        .sort();
    expect(ids([...members].reverse(), 1)).toEqual(ids(members, 1));
    expect(ids(members, 2)).not.toEqual(ids(members, 1));
  });
});

test("all together, in order, each prompt left out for one reason", () => {
  const prompt = (id: string, content: string, domain = "x"): Prompt => ({
    id,
    messages: [{ role: "user", content }],
    checks: [],
    domain,
  });
  const place = (line: number) => ({ file: "f", line });
  const set = [
    prompt("a", "Name three rivers of Europe and say where they end."),
    prompt("b", " Name three rivers of Europe and say where they end.\n"),
    prompt("c", "Name three rivers of Europe, and say where they end!!"),
    prompt("d", "Who wrote the play about the prince of Denmark, and when?"),
    prompt("e", "Bake a cake"),
    prompt("f", "Mend a shoe", "y"),
  ].map((prompt, at) => ({ prompt, place: place(at + 1) }));
  const heldOut = [prompt("h", "The prince of Denmark, and when did he live?")];
  const recipe = {
    file: "f",
    duplicates: "drop",
    bad_rows: "error",
    near_duplicates: 0.8,
    decontaminate: { ngram: 5, against: [], action: "drop" },
    sample: { size: 2, domains: "equal" },
  } as const;
  const { prompts, leftOut } = trainingPrompts(
    set,
    heldOut,
    { ...recipe, decontaminate: { ...recipe.decontaminate, against: [] } },
    3,
  );
  expect(leftOut).toEqual([
    { id: "b", reason: "duplicate", of: "a" },
    { id: "c", reason: "near_duplicate", of: "a", share: 1 },
    { id: "d", reason: "contaminated", of: "h", share: expect.any(Number) },
    { id: expect.stringMatching(/a|e/), reason: "not_sampled" },
  ]);
  expect(prompts.map(({ domain }) => domain)).toEqual(["x", "y"]);
  const strict = { file: "f", duplicates: "error", bad_rows: "error" } as const;
  expect(() => trainingPrompts(set, heldOut, strict, 3)).toThrow(/the same prompt stands in line 1 of f already/);
});
