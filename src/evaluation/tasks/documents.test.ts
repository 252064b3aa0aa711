import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readTaskData } from "./documents.ts";
import { tasks } from "./registry.ts";

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(process.env.AMALGAM_TEST_SCRATCH ?? tmpdir(), "task-data-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const read = async (name: string, files: Readonly<Record<string, string>>, shots = 1, limit?: number) =>
  readTaskData(tasks.get(name)!, folderOf(files), { shots, limit });
const documents = (placed: readonly { readonly document: unknown }[]) => placed.map(({ document }) => document);

const letters = (subject: string, answer: number) => ({
  subject,
  question: "Q",
  choices: ["a", "b", "c", "d"],
  answer,
});

test("MMLU: the authors' tables without a header, with one, the hub's rows and its folders of subjects are the same", async () => {
  const table = '"Q",a,b,c,d,C\n';
  const wanted = {
    documents: [letters("anatomy", 2), letters("virology", 2)],
    pool: [letters("anatomy", 2), letters("virology", 2)],
  };
  const plain = {
    "dev/anatomy_dev.csv": table,
    "dev/virology_dev.csv": `question,A,B,C,D,answer\n${table}`,
    "test/anatomy_test.csv": table,
    "test/virology_test.csv": table,
  };
  const rows = lines(letters("anatomy", 2), letters("virology", 2));
  const { subject: _, ...bare } = letters("", 2);
  const hub = { "dev.jsonl": rows, "test.jsonl": rows };
  const folders = {
    "anatomy/dev.jsonl": lines(bare),
    "anatomy/test.jsonl": lines(bare),
    "virology/dev.jsonl": lines(bare),
    "virology/test.jsonl": lines(bare),
  };
  for (const form of [plain, hub, folders, { "all/dev.jsonl": rows, "all/test.jsonl": rows }]) {
    const found = await read("mmlu", form);
    expect({ documents: documents(found.documents), pool: documents(found.pool) }).toEqual(wanted);
    expect([...found.sizes]).toEqual([
      ["anatomy", 1],
      ["virology", 1],
    ]);
  }
  const limited = await read("mmlu", { ...hub, "test.jsonl": rows + rows }, 1, 1);
  expect(documents(limited.documents)).toEqual(wanted.documents);
});

test("TruthfulQA: the hub's rows, the authors' targets and their table are the same", async () => {
  const wanted = { question: "Q?", mc2_targets: { choices: ["yes", "so", "no"], labels: [1, 1, 0] } };
  const forms = {
    "validation.jsonl": lines({ ...wanted, mc1_targets: {} }),
    "mc_task.json": JSON.stringify([{ question: "Q?", mc2_targets: { yes: 1, so: 1, no: 0 } }]),
    // A name that is a number, which JavaScript puts before the others.
    "validation.json": JSON.stringify([{ question: "In which year?", mc2_targets: { "in May": 1, 1912: 0 } }]),
    "TruthfulQA.csv": "Type,Question,Correct Answers,Incorrect Answers,Source\nx,Q?,yes; so;,no,\n",
  };
  for (const [name, text] of Object.entries(forms))
    expect(documents((await read("truthfulqa_mc2", { [name]: text }, 0)).documents)).toEqual([
      name === "validation.json"
        ? { question: "In which year?", mc2_targets: { choices: ["in May", "1912"], labels: [1, 0] } }
        : wanted,
    ]);
});

test("GSM8K and ARC: the files of the split, and none that lies beside them", async () => {
  const sums = (question: string) => lines({ question, answer: "#### 1" });
  const found = await read("gsm8k", {
    "train.jsonl": sums("train"),
    "train_socratic.jsonl": sums("other"),
    "test.jsonl": sums("test"),
    "test_socratic.jsonl": sums("other"),
    "example_model_solutions.jsonl": sums("other"),
  });
  expect(documents([...found.documents, ...found.pool])).toMatchObject([{ question: "test" }, { question: "train" }]);
  const science = (stem: string) =>
    lines({
      id: "1",
      question: {
        stem,
        choices: [
          { text: "x", label: "1" },
          { text: "y", label: "2" },
        ],
      },
      answerKey: "2",
    });
  const arc = await read("arc_challenge", {
    "ARC-Challenge/ARC-Challenge-Train.jsonl": science("train"),
    "ARC-Challenge/ARC-Challenge-Test.jsonl": science("test"),
    "ARC-Easy/ARC-Easy-Test.jsonl": science("other"),
  });
  expect(documents([...arc.documents, ...arc.pool])).toEqual([
    { question: "test", choices: { text: ["x", "y"], label: ["1", "2"] }, answerKey: "2" },
    { question: "train", choices: { text: ["x", "y"], label: ["1", "2"] }, answerKey: "2" },
  ]);
});

test("HellaSwag's and Winogrande's own names of files", async () => {
  const ending = { activity_label: "A", ctx_a: "b.", ctx_b: "c D", endings: ["e", "f"] };
  const hella = await read("hellaswag", {
    "hellaswag_val.jsonl": lines({ ...ending, label: 1 }),
    "hellaswag_train.jsonl": lines({ ...ending, label: "0" }),
  });
  expect(documents([...hella.documents, ...hella.pool])).toMatchObject([{ label: 1 }, { label: 0 }]);
  const gap = { sentence: "a _ b", option1: "x", option2: "y", answer: "1" };
  const wino = await read("winogrande", {
    "dev.jsonl": lines(gap),
    "train_xs.jsonl": lines({ ...gap, sentence: "small _" }),
    "train_xl.jsonl": lines({ ...gap, sentence: "large _" }),
  });
  expect(documents([...wino.documents, ...wino.pool])).toMatchObject([{ sentence: "a _ b" }, { sentence: "large _" }]);
});
