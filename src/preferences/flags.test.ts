import { describe, expect, test } from "vitest";
import { flagsOf, isRepeated, templateToken } from "./flags.ts";

const flags = (text: string, prompt = "Tell me something.", finish?: "stop" | "length") =>
  flagsOf({ text, prompt, finish });

const story = Array.from({ length: 60 }, (_, at) => `word${at}`).join(" ");

test("a plain text has none, an empty one that it is empty, one that was cut off that it is", () => {
  expect(flags(story)).toEqual([]);
  expect(flags(" \n")).toEqual(["empty"]);
  expect(flags("", "x", "length")).toEqual(["empty", "truncated"]);
  expect(flags(story, "x", "length")).toEqual(["truncated"]);
});

test("repeated: any text of seven words and more, said six times over; no text whose words all differ", () => {
  for (let length = 7; length <= 40; length += 1) {
    const sentence = Array.from({ length }, (_, at) => `w${at}`).join(" ");
    expect(isRepeated(Array.from({ length: 6 }, () => sentence).join("\n"))).toBe(true);
  }
  for (let length = 1; length <= 600; length += 37)
    expect(isRepeated(Array.from({ length }, (_, at) => `w${at}`).join(" "))).toBe(false);
  expect(isRepeated(`A row ${"ha".repeat(30)}`)).toBe(true);
  expect(isRepeated(`| a | b |\n|${"-".repeat(200)}|\n${" ".repeat(500)}`)).toBe(false);
});

test("a million equal characters are looked at in no time that matters", () => {
  expect(flags("x".repeat(1_000_000))).toEqual(["repeated"]);
  expect(flags("-".repeat(1_000_000))).toEqual([]);
});

describe("mixed", () => {
  test.each([
    ["Chinese inside English", "The answer is 答案是四十二, as all know.", "What is the answer?", true],
    ["Chinese throughout, to an English prompt", "答案是四十二。", "What is the answer?", true],
    ["Chinese where the prompt has some", "It means 你好世界.", "What does 你好 mean?", false],
    [
      "English names in Russian",
      "Я пишу на языке Python, и это хорошо для всех нас сегодня.",
      "На чём ты пишешь?",
      false,
    ],
    ["English throughout, to a Russian prompt", "I write in Python.", "На чём ты пишешь?", true],
    ["a symbol", "The angle α + β is 90 degrees in the triangle.", "What is the angle?", false],
    ["Japanese is one script", "これは日本語の文章です。", "日本語で書いて", false],
    ["a prompt of figures only", "四十二", "6 * 7 = ?", false],
  ])("%s", (_, text, prompt, expected) => {
    expect(flags(text, prompt).includes("mixed")).toBe(expected);
  });
});

test.each([
  "<|im_end|>",
  "<|eot_id|>",
  "<|start_header_id|>",
  "<｜end▁of▁sentence｜>",
  "<start_of_turn>",
  "<end_of_turn>",
  "[INST]",
  "[/INST]",
  "<<SYS>>",
  "<eos>",
])("%s in a text is a template's", (token) => {
  expect(templateToken(`before ${token} after`)).toBe(token);
  expect(flags(`before ${token} after`)).toEqual(["template"]);
});

test("an end of text is a template's at the end only, and what looks like a token in prose or code is none", () => {
  expect(templateToken("The end.</s>\n")).toBe("</s>");
  expect(templateToken("<s> Once")).toBe("<s>");
  for (const text of ["<s>old</s> new", "a <| b |> c", "list[INSTANCE]", "x <|> y", "if (a<b||c>d)"])
    expect(templateToken(text)).toBeUndefined();
});
