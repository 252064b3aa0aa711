import { describe, expect, test } from "vitest";
import { type CheckSpec, DataError, describeError, type Prompt } from "../../schema/index.ts";
import { knownLanguages } from "./detect-language.ts";
import { instructions, looseVariants, scoreChecks, scoreChecksLoosely, validateChecks } from "./index.ts";

const atLeast = "at least";
const lessThan = "less than";

/** For each instruction: arguments, a text that follows, a text that does not, what `describe` says. */
const examples: [id: string, args: object, follows: string, breaks: string, says: string][] = [
  ["keywords:existence", { keywords: ["C++", "rust"] }, "Rust or c++?", "Rust or C?", 'contains "C++", "rust"'],
  [
    "keywords:frequency",
    { keyword: "tea", frequency: 2, relation: atLeast },
    "Tea, teapot",
    "tea",
    'contains "tea" at least 2 times',
  ],
  ["keywords:forbidden_words", { forbidden_words: ["sun"] }, "Sunny days", "The Sun.", 'avoids "sun"'],
  [
    "keywords:letter_frequency",
    { letter: "Z", let_frequency: 2, let_relation: lessThan },
    "Zoo",
    "jazz",
    'contains the letter "Z" less than 2 times',
  ],
  ["language:response_language", { language: "de" }, "Das ist nicht gut.", "This is not good.", "is in German"],
  [
    "length_constraints:number_words",
    { num_words: 4, relation: lessThan },
    "one two three",
    "one two three four",
    "has less than 4 words",
  ],
  [
    "length_constraints:number_sentences",
    { num_sentences: 2, relation: atLeast },
    "Yes. No.",
    "Mr. Smith",
    "has at least 2 sentences",
  ],
  [
    "length_constraints:number_paragraphs",
    { num_paragraphs: 2 },
    "a\n***\nb",
    "a\n\nb",
    "has 2 paragraphs divided by ***",
  ],
  [
    "length_constraints:nth_paragraph_first_word",
    { num_paragraphs: 2, nth_paragraph: 2, first_word: "So" },
    "a\n\nso, b",
    "so\n\na",
    'has 2 paragraphs divided by an empty line, number 2 begins with "So"',
  ],
  [
    "detectable_content:postscript",
    { postscript_marker: "P.S." },
    "Bye.\np.s. Call me",
    "Bye.",
    "has a postscript that begins with P.S.",
  ],
  [
    "detectable_content:number_placeholders",
    { num_placeholders: 1 },
    "Dear [name]",
    "Dear (name)",
    "has at least 1 placeholder in [square brackets]",
  ],
  [
    "detectable_format:number_bullet_lists",
    { num_bullets: 2 },
    "* a\n* b",
    "* a\n* b\n* c",
    "has exactly 2 bullet points",
  ],
  [
    "detectable_format:constrained_response",
    {},
    "My answer is no.",
    "No.",
    'contains one of "My answer is yes.", "My answer is no.", "My answer is maybe."',
  ],
  [
    "detectable_format:number_highlighted_sections",
    { num_highlights: 2 },
    "*a* and **b**",
    "*a* and b",
    "has at least 2 highlighted sections in *asterisks*",
  ],
  [
    "detectable_format:multiple_sections",
    { section_spliter: "Part", num_sections: 2 },
    "Part 1 a Part 2 b",
    "Part 1 a",
    'has at least 2 sections headed "Part 1" and so on',
  ],
  [
    "detectable_format:json_format",
    {},
    '```json\n{"a": 1}\n```',
    'Sure: {"a": 1}',
    "is JSON, in a code fence or without",
  ],
  ["detectable_format:title", {}, "<<Rain>>", "<Rain>", "has a title in <<double angular brackets>>"],
  ["combination:two_responses", {}, "a\n******\nb", "a\n***\nb", "gives two different responses divided by ******"],
  [
    "combination:repeat_prompt",
    { prompt_to_repeat: "Say hi." },
    "say hi. Hi!",
    "Hi! Say hi.",
    'begins by repeating "Say hi."',
  ],
  [
    "startend:end_checker",
    { end_phrase: "Good luck!" },
    "Try. good luck!\n",
    "Good luck! Bye.",
    'ends with "Good luck!"',
  ],
  ["startend:quotation", {}, ' "Hi." ', '"Hi." he said', "stands in double quotation marks"],
  [
    "change_case:capital_word_frequency",
    { capital_frequency: 2, capital_relation: atLeast },
    "STOP it NOW",
    "STOP it",
    "has at least 2 words in capital letters",
  ],
  ["change_case:english_capital", {}, "THIS IS IT", "THIS Is IT", "is in English and in capital letters only"],
  ["change_case:english_lowercase", {}, "this is it", "This is it", "is in English and in lower-case letters only"],
  ["punctuation:no_comma", {}, "a and b", "a, b", "has no comma"],
  ["math:answer", { answer: "1/2" }, "It is $\\frac{1}{2}$.", "It is 2.", 'comes to "1/2"'],
  ["choice:answer", { answer: "B" }, "The answer is (B).", "The answer is (A).", "chooses B"],
  [
    "match:exact",
    { answer: ["Paris", "Lutetia"], part: "final" },
    "The answer is: the Paris!",
    "Paris. The answer is Rome.",
    'says "Paris" or "Lutetia" as its final answer and nothing else, whatever case, punctuation and articles',
  ],
  [
    "match:contains",
    { answer: "Paris" },
    "It is in Paris, I think.",
    "It is in Parisian hands",
    'has "Paris" in it, whatever case, punctuation and articles',
  ],
  ["match:f1", { answer: "a red fox" }, "Fox, red", "cat", 'has the words of "a red fox" and no others: their F1'],
  ["match:edit_ratio", { answer: "fox" }, "The fox.", "cat", 'is like "fox": 1 less the share of characters to edit'],
  ["regex:match", { pattern: "^ba+$", flags: "m" }, "b\nbaa", "baab", "matches /^ba+$/m somewhere"],
  ["regex:no_match", { pattern: "sorry", flags: "i" }, "Fine.", "I'm Sorry", "matches /sorry/i nowhere"],
  [
    "json:schema",
    { schema: { type: "object", required: ["a"] } },
    '```json\n{"a": 1}\n```',
    '{"b": 1}',
    'is JSON that fits the schema {"required":["a"],"type":"object"}, in a code fence or without',
  ],
  [
    "length:target",
    { min: 2, max: 3, reach: 2 },
    "one two three",
    "one two three four five",
    "has at least 2 and at most 3 words; falls to 0 over the next 2",
  ],
  [
    "language:share",
    { language: "de" },
    "Das ist nicht gut.\n42",
    "This is not good.",
    "is in German: the share of its letters, line by line",
  ],
  [
    "repetition:ngrams",
    { n: 1 },
    "all of these differ",
    " \n",
    "repeats no run of 1 words: the share of its runs that are different",
  ],
];

describe("each instruction", () => {
  test("has an example", () => {
    expect(examples.map(([id]) => id).sort()).toEqual([...instructions.keys()].sort());
  });

  test.each(examples)("%s", (id, args, follows, breaks, says) => {
    const instruction = instructions.get(id)!;
    expect(instruction.rate(follows, args)).toBe(1);
    expect(instruction.rate(breaks, args)).toBe(0);
    expect(instruction.describe(args)).toBe(says);
    for (const empty of ["", " \n\t"]) expect(instruction.rate(empty, args)).toBe(0);
    expect(() => instruction.rate(follows, { ...args, extra: 1 })).toThrow(/extra/);
  });

  test("an empty text follows no instruction, not even to avoid something", () => {
    expect(instructions.get("length_constraints:number_words")!.rate("", { num_words: 5, relation: lessThan })).toBe(0);
  });

  test("a million characters of the same take no quadratic time", () => {
    for (const unit of ["a.", "<", '"', "*", "word "]) {
      for (const [id, args] of examples) instructions.get(id)!.rate(unit.repeat(200_000), args);
    }
  });

  test("each language is known by its name", () => {
    const { describe: say } = instructions.get("language:response_language")!;
    for (const language of knownLanguages) expect(say({ language })).toMatch(/^is in [A-Z][a-z]+$/);
  });
});

describe("scores", () => {
  const prompt = (...checks: CheckSpec[]): Prompt => ({ id: "p", messages: [{ role: "user", content: "x" }], checks });
  const noComma = { id: "punctuation:no_comma", args: {} };
  const word = (keyword: string) => ({ id: "keywords:existence", args: { keywords: [keyword] } });

  test("one part a check, weights of sum 1, a repeated id numbered", () => {
    expect(scoreChecks(prompt(word("tea"), noComma, word("milk"), word("tea")), "Tea, please")).toEqual([
      { name: "keywords:existence", value: 1, weight: 0.25 },
      { name: "punctuation:no_comma", value: 0, weight: 0.25 },
      { name: "keywords:existence#2", value: 0, weight: 0.25 },
      { name: "keywords:existence#3", value: 1, weight: 0.25 },
    ]);
    expect(scoreChecks(prompt(), "Tea")).toEqual([]);
  });

  test("the loose criterion takes off the first and the last line and the asterisks", () => {
    expect(looseVariants("*a*\nb\nc")).toEqual(["*a*\nb\nc", "a\nb\nc", "b\nc", "b\nc", "*a*\nb", "a\nb", "b", "b"]);
    const quotation = { id: "startend:quotation", args: {} };
    const answer = 'Sure, here it is:\n**"Tea is hot."**';
    expect(scoreChecks(prompt(quotation), answer)[0]!.value).toBe(0);
    expect(scoreChecksLoosely(prompt(quotation), answer)[0]!.value).toBe(1);
    expect(scoreChecksLoosely(prompt(quotation), "Sure:\nTea")[0]!.value).toBe(0);
    // A single line leaves nothing once its first line is gone, and nothing follows no instruction.
    expect(scoreChecksLoosely(prompt(noComma), "Tea, please")[0]!.value).toBe(0);
  });

  test("a check that is none", () => {
    expect(() => scoreChecks(prompt({ id: "tea", args: {} }), "x")).toThrow(DataError);
  });
});

describe("validation", () => {
  const rows = (...checks: CheckSpec[]): Prompt[] => [
    { id: "a", messages: [{ role: "user", content: "a" }], checks: [] },
    { id: "b", messages: [{ role: "user", content: "b" }], checks },
  ];
  const told = (...checks: CheckSpec[]) => {
    try {
      validateChecks(rows(...checks).map((prompt, at) => ({ prompt, place: { file: "prompts.jsonl", line: at + 1 } })));
    } catch (error) {
      if (error instanceof DataError) return describeError(error);
      throw error;
    }
    return "accepted";
  };
  const good = { id: "punctuation:no_comma", args: {} };

  test("what is right is accepted", () => {
    expect(told(...examples.map(([id, args]) => ({ id, args: { ...args } })))).toBe("accepted");
  });

  test("an unknown id", () => {
    const text = told(good, { id: "punctuation:no_commas", args: {} });
    expect(text).toMatch(/^prompts\.jsonl:2, checks\.1\.id: there is no check "punctuation:no_commas"\n/);
    expect(text).toMatch(/Did you mean punctuation:no_comma\? The checks are keywords:existence, /);
  });

  const wrong: [id: string, args: Record<string, unknown>, says: RegExp][] = [
    [
      "length_constraints:number_words",
      { num_words: -1, relation: atLeast },
      /checks\.0\.args\.num_words: .*is -1, and must be at least 0/,
    ],
    [
      "length_constraints:number_words",
      { num_words: 3, relation: "at most" },
      /checks\.0\.args\.relation: .*"at most"[\s\S]*less than/,
    ],
    ["length_constraints:number_words", { num_words: 3 }, /checks\.0\.args\.relation/],
    ["keywords:existence", { keywords: [] }, /checks\.0\.args\.keywords/],
    ["keywords:existence", { keywords: ["tea", " "] }, /checks\.0\.args\.keywords\.1: .*must not be empty/],
    [
      "keywords:letter_frequency",
      { letter: "ab", let_frequency: 1, let_relation: atLeast },
      /args\.letter: .*one character/,
    ],
    ["language:response_language", { language: "xx" }, /args\.language: .*one of ar, bg, .*can't be told apart/],
    ["punctuation:no_comma", { commas: 0 }, /checks\.0\.args: .*commas/],
    [
      "length_constraints:nth_paragraph_first_word",
      { num_paragraphs: 1, nth_paragraph: 2, first_word: "so" },
      /args\.nth_paragraph: .*not so many/,
    ],
  ];
  test.each(wrong)("wrong arguments of %s %o", (id, args, says) => {
    expect(told({ id, args })).toMatch(says);
  });
});
