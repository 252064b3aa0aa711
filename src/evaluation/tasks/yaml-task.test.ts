import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DataError, describeError, RecipeError } from "../../schema/index.ts";
import { readTaskData } from "./documents.ts";
import { promptsOf } from "./few-shot.ts";
import { tasks } from "./registry.ts";
import type { Task } from "./task.ts";
import { rowTemplate } from "./template.ts";
import { loadTask } from "./yaml-task.ts";

const { tasks: cases } = JSON.parse(
  readFileSync(new URL("../fixtures/tasks/harness-cases.json", import.meta.url), "utf8"),
) as {
  tasks: Record<
    string,
    { num_fewshot: number; docs: unknown[]; fewshot_pool: unknown[]; expected: Record<string, never>[] }
  >;
};
const folder = mkdtempSync(join(process.env.AMALGAM_TEST_SCRATCH ?? tmpdir(), "yaml-tasks-"));

function written(text: string): string {
  const file = join(folder, "own.yaml");
  writeFileSync(file, text);
  return file;
}
const placed = (task: Task, rows: readonly unknown[]) => rows.map((row) => ({ row, document: task.row.parse(row) }));

/** Tasks of lm-eval in its own words, and the cases that lm-eval made of them. */
const yamls = {
  arc_challenge_25: `
task: arc
dataset_path: allenai/ai2_arc
dataset_name: ARC-Challenge
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
num_fewshot: 25
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - metric: acc_norm
`,
  mmlu_anatomy_5: `
task: anatomy
output_type: multiple_choice
test_split: test
fewshot_split: dev
fewshot_config: {sampler: first_n}
num_fewshot: 5
description: "The following are multiple choice questions (with answers) about anatomy.\\n\\n"
doc_to_text: "{{question.strip()}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. {{choices[2]}}\\nD. {{choices[3]}}\\nAnswer:"
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: answer
metric_list: [{metric: acc}]
`,
  gsm8k_5: `
task: sums
output_type: generate_until
training_split: train
fewshot_split: train
test_split: test
num_fewshot: 5
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:", "</s>", "<|im_end|>"], do_sample: false, temperature: 0.0}
metric_list:
  - metric: exact_match
    ignore_case: true
    regexes_to_ignore: [",", "\\\\$", "(?s).*#### ", "\\\\.$"]
filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: "#### (\\\\-?[0-9\\\\.\\\\,]+)"}, {function: take_first}]
  - name: flexible-extract
    filter: [{function: regex, group_select: -1, regex_pattern: "(-?[$0-9.,]{2,})|(-?[0-9]+)"}, {function: take_first}]
`,
};

test.each(Object.entries(yamls))("%s in YAML makes what the task of Amalgam makes", (name, yaml) => {
  const task = loadTask(written(yaml));
  const own = tasks.get(name.startsWith("mmlu") ? "mmlu" : name.replace(/_\d+$/, ""))!;
  const { docs, fewshot_pool, num_fewshot, expected } = cases[name]!;
  expect(task.shots).toBe(num_fewshot);
  const made = promptsOf(task, placed(task, docs), placed(task, fewshot_pool), num_fewshot);
  const wanted = promptsOf(own, placed(own, docs), placed(own, fewshot_pool), num_fewshot);
  expect(made.map(({ requests }) => requests)).toEqual(wanted.map(({ requests }) => requests));
  for (const [at, { document }] of made.entries()) {
    const reply = (expected[at]!.loglikelihoods ?? expected[at]!.generation) as never;
    expect(task.score(document, reply)).toEqual(own.score(wanted[at]!.document, reply));
  }
});

test("a text that is a number says where the right beginning is", () => {
  const task = loadTask(
    written(`
task: gap
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{answer|int - 1}}"
doc_to_target: "{{sentence.split('_')[1].strip()}}"
doc_to_choice: "{{[sentence.split('_')[0] + option1, sentence.split('_')[0] + option2]}}"
`),
  );
  const row = { sentence: "The cup broke the plate as the _ was hard.", option1: "cup", option2: "plate", answer: "2" };
  const [prompt] = promptsOf(task, placed(task, [row]), [], 0);
  expect(prompt!.requests).toEqual([
    { context: "The cup broke the plate as the cup", continuation: " was hard." },
    { context: "The cup broke the plate as the plate", continuation: " was hard." },
  ]);
  expect(task.kind === "choices" && task.score(prompt!.document, [-2, -1])).toMatchObject({ "acc,none": 1 });
});

test.each([
  ["output_type: multiple_choice", "task", /own\.yaml.*task: is missing/s],
  [
    "task: a\noutput_type: multiple_choise\ntest_split: t\ndoc_to_text: x\ndoc_to_target: y",
    "output_type",
    /own\.yaml:2/,
  ],
  [
    "task: a\noutput_type: multiple_choice\ntest_split: t\ndoc_to_text: x\ndoc_to_target: y",
    "doc_to_choice",
    /missing/,
  ],
  ["task: a\noutput_type: generate_until\ndoc_to_text: x\ndoc_to_target: y", "test_split", /missing/],
  [
    "task: a\noutput_type: generate_until\ntest_split: t\ndoc_to_text: '{{x'\ndoc_to_target: y",
    "doc_to_text",
    /own\.yaml:4.*no Jinja/,
  ],
  [
    "task: a\noutput_type: generate_until\ntest_split: t\ndoc_to_text: x\ndoc_to_target: y\nprocess_docs: f",
    "process_docs",
    /own\.yaml:6.*unknown field/,
  ],
  [
    "task: a\noutput_type: multiple_choice\ntest_split: t\ndoc_to_text: x\ndoc_to_target: y\ndoc_to_choice: !function utils.f",
    undefined,
    /own\.yaml:6: a tag.*!function.*TypeScript/s,
  ],
  [
    "task: a\noutput_type: generate_until\ntest_split: t\ndoc_to_text: x\ndoc_to_target: y\nfilter_list: [{name: n, filter: [{function: regex, regex_pattern: '(a'}]}]",
    "filter_list.0.filter.0.regex_pattern",
    /own\.yaml:6.*no pattern/,
  ],
  [
    "task: a\noutput_type: generate_until\ntest_split: t\ndoc_to_text: x\ndoc_to_target: y\nmetric_list: [{metric: acc}]",
    "metric_list.0.metric",
    /no metric of generate_until/,
  ],
])("a mistake is named: %j", (yaml, field, words) => {
  const error = (() => {
    try {
      return loadTask(written(`${yaml}\n`));
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(RecipeError);
  expect(describeError(error)).toMatch(words);
  expect((error as RecipeError).place.field).toBe(field);
});

test.each([
  ['doc_to_text: "{{land}}"', "land", /test\.jsonl:2, land: the row has no field land.*`doc_to_text`.*own\.yaml:4/s],
  ["doc_to_choice: texts", undefined, /test\.jsonl:2: doc_to_choice gives "texts", and should give a list/],
  ["doc_to_target: last", undefined, /test\.jsonl:2: doc_to_target gives "z", which is none of the choices/],
  ['doc_to_target: "{{list.index(text)}}"', undefined, /test\.jsonl:2: .*"b" is not in.*`doc_to_target`.*own\.yaml:5/s],
  ["group_by: part", "part", /test\.jsonl:2, part: the row has no field part.*`group_by`.*own\.yaml:7/s],
])("what can't be made of a row is told with the row's place and the field: %j", async (line, field, words) => {
  const [name] = line.split(":");
  const fields = ["doc_to_text: text", "doc_to_target: first", "doc_to_choice: list"].map((one) =>
    one.startsWith(`${name}:`) ? line : one,
  );
  const yaml = ["task: own", "output_type: multiple_choice", "test_split: test", ...fields];
  const task = loadTask(written([...yaml, ...(yaml.includes(line) ? [] : [line])].join("\n")));
  const data = mkdtempSync(join(folder, "rows-"));
  const rows = [
    { text: "a", land: "l", list: ["x", "a"], texts: ["x", "y"], first: "x", last: "x", part: "p" },
    { text: "b", list: ["x", "y"], first: "x", last: "z" },
  ];
  writeFileSync(join(data, "test.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  const error = await readTaskData(task, data, { shots: 0 }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DataError);
  expect(describeError(error)).toMatch(words);
  expect((error as DataError).place.field).toBe(field);
});

test("templates: fields that are missing are named, loops and filters work, line breaks stay", () => {
  expect(rowTemplate("{{a}} and {{b.c[1]}}\n").render({ a: 1, b: { c: [2, 3] } })).toBe("1 and 3\n");
  expect(rowTemplate("{% for x in list %}{{loop.index}}. {{x|upper}}\n{% endfor %}").render({ list: ["a", "b"] })).toBe(
    "1. A\n2. B\n",
  );
  expect(rowTemplate("{% set y = x + 1 %}\n{{y}}").render({ x: 1 })).toBe("\n2");
  expect(rowTemplate("{{list}}").value({ list: ["it's", 2] })).toEqual(["it's", 2]);
  expect(() => rowTemplate("{{question}}").render({ text: "x" })).toThrow(DataError);
  expect(() => rowTemplate("{{list.index(x)}}").value({ list: ["a"], x: "b" })).toThrow(/not in/);
});

test("the example of the documentation does what it says", async () => {
  const guide = readFileSync(new URL("../../../docs/tasks.md", import.meta.url), "utf8");
  const [yaml, row] = [/```yaml\n(task: capitals.*?)```/s, /```json\n(.*?)```/s].map((block) => block.exec(guide)![1]!);
  const task = loadTask(written(yaml!));
  const data = mkdtempSync(join(folder, "capitals-"));
  const chad = { country: "Chad", cities: ["Cairo", "N'Djamena"], capital: "N'Djamena", continent: "Africa" };
  const examples = ["Cuba", "Chile"].flatMap((country) =>
    ["America", "Africa"].map((continent) => ({ country, continent, cities: ["A", "B"], capital: "B" })),
  );
  const lines = (...rows: unknown[]) => rows.map((one) => JSON.stringify(one)).join("\n");
  writeFileSync(join(data, "train.jsonl"), lines(...examples));
  writeFileSync(join(data, "test.jsonl"), lines(JSON.parse(row!), chad));
  const { documents, pool } = await readTaskData(task, data, { shots: task.shots });
  const prompts = promptsOf(task, documents, pool, task.shots);
  expect(prompts.map(({ group }) => group)).toEqual(["America", "Africa"]);
  expect(prompts[1]!.requests.map(({ continuation }) => continuation)).toEqual([" Cairo", " N'Djamena"]);
  expect(prompts[0]!.requests[0]!.context).toMatch(
    /^(Question: What is the capital of (Cuba|Chile)\?\nAnswer: B\n\n){2}Question: What is the capital of Peru\?\nAnswer:$/,
  );
  expect(task.score(prompts[1]!.document, [-3, -2] as never)).toEqual({ "acc,none": 1, "acc_norm,none": 1 });
});
