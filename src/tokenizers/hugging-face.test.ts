import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tokenizerFromFolder, tokenizerFromGguf } from "./index.ts";
import { expectedFigures, figuresOf } from "./testing/figures.ts";
import { byteLevelMetadata, syntheticMetadata } from "./testing/synthetic.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amalgam-tokenizer-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (file: string, content: unknown) =>
  writeFile(join(folder, file), typeof content === "string" ? content : JSON.stringify(content));
async function writeAll(files: Record<string, string>): Promise<void> {
  for (const [file, text] of Object.entries(files)) await write(file, text);
}
const smallFiles = () => tokenizerFromGguf(byteLevelMetadata("gpt-2"), "small.gguf").files();
const prompt = [{ role: "user" as const, content: "Hello" }];

describe("written and read back", () => {
  test.each(["smollm", "qwen2", "llama-spm", "gemma-spm"])("%s is the same tokenizer", async (name) => {
    await writeAll(tokenizerFromGguf(syntheticMetadata[name]!(), name, { reading: "original" }).files());
    const back = await tokenizerFromFolder(folder);
    expect(figuresOf(back, `synthetic-${name}`)).toEqual(expectedFigures(`synthetic-${name}`));
    // And what it writes is what it was read from.
    const again = back.files();
    await writeAll(again);
    expect((await tokenizerFromFolder(folder)).files()).toEqual(again);
  });

  test("the files are those that transformers looks for", () => {
    expect(Object.keys(smallFiles()).sort()).toEqual([
      "chat_template.jinja",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
  });
});

describe("a chat template", () => {
  const standing = async (file: string, content: unknown) => {
    const { "chat_template.jinja": _, "tokenizer_config.json": config, ...files } = smallFiles();
    const { chat_template: __, ...rest } = JSON.parse(config!);
    await writeAll(files);
    await write("tokenizer_config.json", rest);
    await write(file, content);
    return tokenizerFromFolder(folder);
  };

  test("in its own file", async () => {
    expect((await standing("chat_template.jinja", "own {{ messages[0].content }}")).renderChat(prompt)).toBe(
      "own Hello",
    );
  });
  test("in chat_template.json", async () => {
    const tokenizer = await standing("chat_template.json", { chat_template: "json {{ messages[0].content }}" });
    expect(tokenizer.renderChat(prompt)).toBe("json Hello");
  });
  test("in the configuration", async () => {
    const config = { eos_token: { content: "<|eos|>", lstrip: false }, chat_template: "config{{ eos_token }}" };
    const tokenizer = await standing("tokenizer_config.json", config);
    expect(tokenizer.renderChat(prompt)).toBe("config<|eos|>");
    expect(tokenizer.eosId).toBe(1);
  });
  test("among several in the configuration: the default one", async () => {
    const several = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "default" },
    ];
    expect((await standing("tokenizer_config.json", { chat_template: several })).renderChat(prompt)).toBe("default");
  });
  test("given in its place, and written with the files", async () => {
    await writeAll(smallFiles());
    const tokenizer = await tokenizerFromFolder(folder, { chatTemplate: "given" });
    expect(tokenizer.renderChat(prompt)).toBe("given");
    expect(tokenizer.files()["chat_template.jinja"]).toBe("given");
    expect(JSON.parse(tokenizer.files()["tokenizer_config.json"]!).chat_template).toBe("given");
  });
  test("nowhere", async () => {
    expect((await standing("tokenizer_config.json", {})).hasChatTemplate).toBe(false);
  });
});

describe("special tokens", () => {
  test("are taken from special_tokens_map.json where the configuration doesn't name them", async () => {
    const { "tokenizer.json": json } = smallFiles();
    await write("tokenizer.json", json);
    await write("special_tokens_map.json", { bos_token: "<|bos|>", eos_token: { content: "<|end|>" } });
    await write("tokenizer_config.json", { eos_token: "<|eos|>" });
    const tokenizer = await tokenizerFromFolder(folder);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([0, 1, undefined]);
  });

  test("named by the configuration, but ordinary tokens of the vocabulary, become special", async () => {
    const json = JSON.parse(smallFiles()["tokenizer.json"]!);
    await write("tokenizer.json", { ...json, added_tokens: [] });
    await write("tokenizer_config.json", { eos_token: "<|eos|>" });
    const tokenizer = await tokenizerFromFolder(folder);
    expect(tokenizer.isSpecial(1)).toBe(true);
    expect(tokenizer.encode("<|eos|>", { special: true })).toEqual([1]);
  });
});

describe("bad folders", () => {
  const broken = async (file: string, content: unknown) => {
    await writeAll(smallFiles());
    await write(file, content);
    return tokenizerFromFolder(folder).then(
      () => expect.unreachable("it was read"),
      (error: { code: string; message: string; place: { file: string; field?: string }; hint?: string }) => error,
    );
  };
  const json = () => JSON.parse(smallFiles()["tokenizer.json"]!);

  test("no tokenizer.json", async () => {
    await expect(tokenizerFromFolder(folder)).rejects.toMatchObject({
      code: "MODEL",
      place: { file: join(folder, "tokenizer.json") },
      hint: expect.stringContaining("transformers"),
    });
  });
  test("half a file", async () => {
    const error = await broken("tokenizer.json", smallFiles()["tokenizer.json"]!.slice(0, 1000));
    expect(error).toMatchObject({ code: "MODEL", message: expect.stringContaining("not valid JSON") });
  });
  test.each([
    ["no model", () => ({ ...json(), model: undefined }), "model"],
    ["a vocabulary of strings", () => ({ ...json(), model: { ...json().model, vocab: { a: "b" } } }), "model.vocab"],
    ["a merge of three", () => ({ ...json(), model: { ...json().model, merges: ["i n", "a b c"] } }), "model.merges.1"],
    [
      "a merge of an unknown token",
      () => ({ ...json(), model: { ...json().model, merges: [["q", "zz"]] } }),
      "model.merges.0",
    ],
    ["an added token without id", () => ({ ...json(), added_tokens: [{ content: "x" }] }), "added_tokens.0.id"],
    [
      "an added token of its own word",
      () => ({ ...json(), added_tokens: [{ id: 0, content: "x", single_word: true }] }),
      "added_tokens",
    ],
    [
      "a split that is not supported",
      () => ({ ...json(), pre_tokenizer: { type: "Split", pattern: { String: "x" }, behavior: "MergedWithNext" } }),
      "pre_tokenizer.behavior",
    ],
  ])("%s", async (_, content, field) => {
    const file = join(folder, "tokenizer.json");
    expect(await broken("tokenizer.json", content())).toMatchObject({ code: "MODEL", place: { file, field } });
  });
  test("a component of an unknown type", async () => {
    const error = await broken("tokenizer.json", { ...json(), normalizer: { type: "Rot13" } });
    expect(error).toMatchObject({ code: "MODEL", message: expect.stringContaining("Rot13") });
  });
  test("a configuration that names an unknown token", async () => {
    const error = await broken("tokenizer_config.json", { eos_token: "<|nothing|>" });
    expect(error).toMatchObject({ code: "MODEL", place: { field: "eos_token" } });
  });
  test("a template that is no Jinja", async () => {
    const error = await broken("chat_template.jinja", "{% if %}");
    expect(error).toMatchObject({ code: "MODEL", place: { file: join(folder, "chat_template.jinja") } });
    const half = await broken("chat_template.jinja", "{% for m in messages %}{{ m.content }}");
    expect(half).toMatchObject({ message: expect.stringContaining("it ends within a statement or a block") });
  });
});
