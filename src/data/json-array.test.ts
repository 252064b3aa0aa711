import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DataError } from "../schema/index.ts";
import { readRows } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "json-list-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(text: string, skip?: (bad: DataError) => void) {
  const file = join(folder, "list.json");
  writeFileSync(file, text);
  const rows: [number, unknown][] = [];
  for await (const { line, value } of readRows(file, {}, skip)) rows.push([line, value]);
  return rows;
}
const refusal = (text: string) =>
  read(text).then(
    () => expect.fail("it was accepted"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(DataError);
      return (error as DataError).message;
    },
  );

const rows = [
  { a: 'brackets ]}[{ and "quotes\\" \\', b: [1, [2, { c: "," }]] },
  { a: "日本語 \u{1f600} \n" },
  "text, with a comma",
  17,
  null,
  [],
  {},
  { long: "x,]".repeat(100_000) },
];

test.each([undefined, 1, 4])(
  "a list is read element by element, as JSON.parse reads it (indent %s)",
  async (indent) => {
    expect((await read(JSON.stringify(rows, null, indent))).map(([, value]) => value)).toEqual(rows);
  },
);

test("elements have the line in which they begin", async () => {
  expect(await read('\ufeff \n[\n {"a":\n 1},\n\n {"b": NaN}\n]\n')).toEqual([
    [3, { a: 1 }],
    [6, { b: null }],
  ]);
  expect(await read("[]")).toEqual([]);
});

test("a .json file with a row a line is read as before", async () => {
  expect(await read('{"a": 1}\n{"a": 2}\n')).toEqual([
    [1, { a: 1 }],
    [2, { a: 2 }],
  ]);
});

test("what is broken is told", async () => {
  expect(await refusal('[{"a": 1}, {"b": 2')).toBe("the list breaks off: its end is missing");
  expect(await refusal('[{"a": 1}] {"b": 2}')).toBe("something stands after the end of the list");
  expect(await refusal('[{"a": 1},, {"b": 2}]')).toBe("this row is not JSON: there is nothing between two commas");
  const skipped: string[] = [];
  const found = await read('[{"a": 1},\n{"b": x},\n{"c": 3}]', ({ place }) => skipped.push(`line ${place.line}`));
  expect([found, skipped]).toEqual([
    [
      [1, { a: 1 }],
      [3, { c: 3 }],
    ],
    ["line 2"],
  ]);
});
