import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../schema/index.ts";
import { type GgufTokenizerOptions, type Tokenizer, tokenizerFromFolder, tokenizerFromGguf } from "./index.ts";
import { expectedFigures, figuresOf } from "./testing/figures.ts";
import { gemmaTemplate } from "./testing/gemma-template.ts";
import { readGgufMetadata } from "./testing/gguf-metadata-reader.ts";

const models = process.env.AMALGAM_TEST_MODELS;
const open = (name: string, options?: GgufTokenizerOptions) => {
  const file = join(models!, `${name}.gguf`);
  return tokenizerFromGguf(readGgufMetadata(file), file, options);
};

describe.skipIf(models === undefined)("the quickstart's models", () => {
  const loaded = new Map<string, Tokenizer>();
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "amalgam-tokenizers-"));
    for (const name of ["smollm2", "qwen"]) loaded.set(name, open(name));
    loaded.set("gemma", open("gemma", { chatTemplate: gemmaTemplate }));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each(["smollm2", "qwen", "gemma"])("%s: ids, texts and chats are those of transformers", (name) => {
    expect(figuresOf(loaded.get(name)!, name)).toEqual(expectedFigures(name));
  });

  test.each(["smollm2", "qwen", "gemma"])(
    "%s: the written Hugging Face folder reads back as the same tokenizer",
    async (name) => {
      for (const [file, text] of Object.entries(loaded.get(name)!.files())) await writeFile(join(folder, file), text);
      const back = await tokenizerFromFolder(folder);
      expect(figuresOf(back, name)).toEqual(expectedFigures(name));
      expect(back.vocabularySize).toBe(loaded.get(name)!.vocabularySize);
      expect(back.stopIds).toEqual(loaded.get(name)!.stopIds);
    },
  );

  test.each(["smollm2", "qwen", "gemma"])("%s: its original tokenizer", (name) => {
    const options = name === "gemma" ? { chatTemplate: gemmaTemplate } : {};
    // Of Gemma's original, only texts with written runs of U+2581 could differ, and in these texts none does.
    const fixture = name === "gemma" ? name : `${name}-original`;
    expect(figuresOf(open(name, { ...options, reading: "original" }), fixture)).toEqual(expectedFigures(fixture));
  });

  test("the end of a turn is found in the template", () => {
    expect(loaded.get("smollm2")!.endOfTurnId).toBe(2);
    expect(loaded.get("qwen")!.endOfTurnId).toBe(151645);
    expect(loaded.get("gemma")!.endOfTurnId).toBe(106);
    expect(loaded.get("gemma")!.stopIds).toEqual([106, 1]);
    expect(loaded.get("gemma")!.addsBos).toBe(true);
  });

  test("vocabularies are as big as the original ones", () => {
    expect(loaded.get("smollm2")!.vocabularySize).toBe(49152);
    expect(loaded.get("qwen")!.vocabularySize).toBe(151665);
    expect(loaded.get("gemma")!.vocabularySize).toBe(262144);
  });

  test("Gemma's base model has no chat template, and says so", () => {
    const base = open("gemma");
    expect(base.hasChatTemplate).toBe(false);
    expect(base.endOfTurnId).toBe(base.eosId);
    expect(() => base.encodePrompt([{ role: "user", content: "Hi" }])).toThrow(ModelError);
    expect(() => base.renderChat([{ role: "user", content: "Hi" }])).toThrow(/no chat template/);
    expect(Object.keys(base.files())).not.toContain("chat_template.jinja");
  });

  test.each(["smollm2", "qwen", "gemma"])("%s: prompt and response are the text that the model sees", (name) => {
    const tokenizer = loaded.get(name)!;
    const prompt = [{ role: "user" as const, content: "Name three colours." }];
    for (const answer of [
      "Red, green and blue.",
      "1. R\u00f6d\n2. Gr\u00f6n \ud83d\udfe2\n\n3. \u84dd\u8272",
      "```js\nlet a = 1;\n```",
    ]) {
      const whole = tokenizer.renderChat([...prompt, { role: "assistant", content: answer }]);
      const ids = [...tokenizer.encodePrompt(prompt), ...tokenizer.encodeResponse(answer)];
      // The template goes on with a line feed after the end of the turn.
      expect([...ids, ...tokenizer.encode("\n")]).toEqual(tokenizer.encode(whole, { special: true }));
      expect(ids.filter((id) => id === tokenizer.bosId).length).toBe(name === "smollm2" ? 3 : name === "gemma" ? 1 : 0);
    }
  });

  const golden = new URL("../../../shared/golden/", import.meta.url);
  test.skipIf(!existsSync(golden))("SmolLM2: the golden prompts and responses", () => {
    const tokenizer = loaded.get("smollm2")!;
    const read = (file: string) => readFileSync(new URL(file, golden), "utf8");
    const logps = JSON.parse(read("logps.json")) as { prompt_ids: number[]; responses: { ids: number[] }[] }[];
    const rows = read("quadruples.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(logps.length);
    for (const [index, { prompt, chosen, rejected }] of rows.entries()) {
      expect(tokenizer.encodePrompt([prompt])).toEqual(logps[index]!.prompt_ids);
      const responses = [...chosen, ...rejected].map(({ content }) => tokenizer.encodeResponse(content));
      expect(responses).toEqual(logps[index]!.responses.map(({ ids }) => ids));
    }
  });
});
