// Writes the table of checks into docs/guide.md: each id, an example of its arguments, and what they then demand. Run after
// `npm run build`.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { instructions } from "../dist/rewards/index.js";

/** An example of every argument that a check takes. */
const examples = {
  capital_frequency: 3,
  capital_relation: "at least",
  end_phrase: "That is all.",
  first_word: "however",
  forbidden_words: ["very", "really"],
  frequency: 2,
  keyword: "bread",
  keywords: ["bread", "butter"],
  language: "de",
  let_frequency: 5,
  let_relation: "at least",
  letter: "q",
  nth_paragraph: 2,
  num_bullets: 3,
  num_highlights: 2,
  num_paragraphs: 3,
  num_placeholders: 2,
  num_sections: 2,
  num_sentences: 4,
  num_words: 40,
  postscript_marker: "P.S.",
  prompt_to_repeat: "Name a tree.",
  relation: "less than",
  section_spliter: "Section",
};

/** Words that Markdown would read as something else. */
const plain = (text) => text.replace(/[*<>[\]]/g, "\\$&");

/** Examples of checks whose arguments have names that others have, too. */
const own = {
  "math:answer": { answer: "3/4" },
  "choice:answer": { answer: "B" },
  "match:exact": { answer: "Marie Curie", part: "final" },
  "match:contains": { answer: ["Marie Curie", "Sklodowska"] },
  "match:f1": { answer: "in the autumn of 1911" },
  "match:edit_ratio": { answer: "Sklodowska" },
  "regex:match": { pattern: "^Steps?:", flags: "im" },
  "regex:no_match": { pattern: "as an AI", flags: "i" },
  "json:schema": { schema: { type: "object", required: ["name"] } },
  "length:target": { unit: "words", max: 200, reach: 100 },
  "language:share": { language: "de" },
  "repetition:ngrams": { n: 4 },
};

const rows = [...instructions.values()].map(({ id, args, describe }) => {
  const example = own[id] ?? Object.fromEntries(Object.keys(args.shape).map((name) => [name, examples[name]]));
  return `| \`${id}\` | \`${JSON.stringify(example)}\` | ${plain(describe(example))} |`;
});
const table = ["| check | `args`, for example | the response |", "| --- | --- | --- |", ...rows].join("\n");
const file = fileURLToPath(new URL("../docs/guide.md", import.meta.url));
const [before, , after] = readFileSync(file, "utf8").split(/<!-- \/?checks -->/);
writeFileSync(file, `${before}<!-- checks -->\n${table}\n<!-- /checks -->${after}`);
