import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { DataError } from "../schema/index.ts";
import { type DatasetPart, readRows } from "./index.ts";

/** Files that Hugging Face's `datasets` wrote: bench/fixtures/dataset_files.py. */
const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const truth = JSON.parse(readFileSync(fixture("truth.json"), "utf8")) as Record<string, unknown>[];
const folder = mkdtempSync(join(tmpdir(), "rows-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(path: string, part?: DatasetPart) {
  const rows = [];
  for await (const row of readRows(path, part)) rows.push(row);
  return rows;
}
const values = async (path: string, part?: DatasetPart) => (await read(path, part)).map(({ value }) => value);
const refusal = (path: string, part?: DatasetPart): Promise<DataError> =>
  read(path, part).then(
    () => expect.fail("it was accepted"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(DataError);
      return error as DataError;
    },
  );
const numbers = (rows: readonly unknown[]): unknown =>
  rows.map((row) => ({ ...(row as object), count: Number((row as { count: unknown }).count) }));

describe("folders as `datasets` knows them", () => {
  test("saved in two pieces", async () => {
    const rows = await read(fixture("saved"));
    expect(rows.map(({ value }) => value)).toEqual(truth);
    expect(new Set(rows.map(({ file }) => file)).size).toBe(2);
    expect(rows[6]).toMatchObject({ line: 1, file: expect.stringMatching(/00001-of-00002\.arrow$/) });
  });

  test("saved with splits: train unless another is named", async () => {
    expect(await values(fixture("dict"))).toEqual(truth);
    expect(await values(fixture("dict"), { split: "test" })).toEqual(truth.slice(0, 3));
    const error = await refusal(fixture("dict"), { split: "dev" });
    expect([error.message, error.hint]).toEqual([
      "the data set has no split dev",
      "Its splits are train, test: name one as `split`, on the command line by --split.",
    ]);
  });

  test("a hub repository by the names of its files", async () => {
    expect(numbers(await values(fixture("hub")))).toEqual(truth);
    expect(numbers(await values(fixture("hub"), { split: "test" }))).toEqual(truth.slice(0, 3));
  });

  test("a hub repository by the configurations of its README", async () => {
    const copy = join(folder, "declared");
    cpSync(fixture("hub"), copy, { recursive: true });
    writeFileSync(
      join(copy, "README.md"),
      "---\nlicense: mit\nconfigs:\n- config_name: small\n  data_files:\n  - split: train\n    path: data/test-*\n- config_name: default\n  data_files:\n  - split: train\n    path:\n    - '**/train-*.parquet'\n---\n# Data\n",
    );
    expect(await values(copy)).toHaveLength(12);
    expect(await values(copy, { config: "small" })).toHaveLength(3);
    expect((await refusal(copy, { config: "large" })).hint).toBe("It has small, default.");
  });

  test.each<[string, string, RegExp, object]>([
    ["no YAML", "license: mit\nconfigs: [", /no YAML/, { line: 3 }],
    ["no list", "configs: small", /"small".*list/, { field: "configs" }],
    ["no name", "configs:\n- data_files: data/*", /is missing/, { field: "configs.0.config_name" }],
    [
      "files that are not there",
      "configs:\n- config_name: a\n  data_files: gone/*.parquet",
      /no data file here is gone/,
      {},
    ],
  ])("a README whose configurations are %s is refused", async (name, front, message, place) => {
    const copy = join(folder, name);
    cpSync(fixture("hub"), copy, { recursive: true });
    const readme = join(copy, "README.md");
    writeFileSync(readme, `---\n${front}\n---\n`);
    expect(await refusal(copy)).toMatchObject({
      message: expect.stringMatching(message),
      place: { file: readme, ...place },
    });
    writeFileSync(readme, "---\nconfigs:\n- config_name: a\n  data_dir: data\n---\n");
    expect(await values(copy, { split: "test" })).toHaveLength(3);
  });

  test("without data", async () => {
    mkdirSync(join(folder, "empty"));
    expect((await refusal(join(folder, "empty"))).message).toMatch(/no data files/);
  });
});

describe("single files", () => {
  test("CSV as pandas writes it: quotes, line breaks, empty fields", async () => {
    const rows = await read(fixture("rows.csv"));
    const texts = truth.map(({ turns: _, score, count, ...row }) => ({
      ...row,
      score: `${(score as number).toFixed(Number.isInteger((score as number) * 2) ? 1 : 2)}`,
      count: `${count}`,
    }));
    expect(rows.map(({ value }) => value)).toEqual(texts);
    // Each row has a line break in it, and the first line names the fields.
    expect(rows.map(({ line }) => line).slice(0, 2)).toEqual([3, 5]);
  });

  test("TSV and JSONL", async () => {
    writeFileSync(join(folder, "a.tsv"), "\uFEFFid\ttext\r\n1\ta, b\r\n");
    expect(await values(join(folder, "a.tsv"))).toEqual([{ id: "1", text: "a, b" }]);
    writeFileSync(join(folder, "a.jsonl"), '{"a": NaN}\n\n{"a": 2}\n');
    expect(await read(join(folder, "a.jsonl"))).toMatchObject([{ line: 1, value: { a: null } }, { line: 3 }]);
  });

  test.each([
    ["a row with too many fields", "a.csv", "id,text\n1,a\n2,b,c\n", /line 3/],
    ["an open quote", "b.csv", 'id,text\n1,"a\n', /CSV file can't be read/],
    ["no Arrow", "a.arrow", "nothing", /Arrow file can't be read/],
    ["no Parquet", "a.parquet", "nothing", /Parquet file can't be read/],
    ["another kind", "a.xlsx", "nothing", /kind that is not read/],
  ])("%s", async (_, name, content, message) => {
    writeFileSync(join(folder, name), content);
    expect((await refusal(join(folder, name))).message).toMatch(message);
  });

  test("a name without an ending, of nothing that is there, may have been a folder's", async () => {
    expect((await refusal(join(folder, "a-missing"))).message).toBe("there is no such file or folder");
  });

  test.each(["a-missing.csv", "a-missing.arrow", "a-missing.parquet", "a-missing.jsonl"])("%s", async (name) => {
    expect((await refusal(join(folder, name))).place.file).toBe(join(folder, name));
  });
});
