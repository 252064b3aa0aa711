import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readModelFiles } from "../models/index.ts";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { lazyRows } from "./lazy-rows.ts";
import { type PlacedRow, writeRowFile } from "./row-file.ts";
import { tokeniseRows } from "./rows.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-rows-"));
const model = tinyFolder("llama");
afterAll(() => {
  for (const path of [folder, model]) rmSync(path, { recursive: true });
});
const { tokenizer } = await readModelFiles(model, "tiny");
const limits = { max_length: 200, max_prompt_length: 150, overlong: "drop" } as const;

const row = (line: number, changes: Partial<PlacedRow> = {}): PlacedRow => ({
  id: `row-${line}`,
  file: "data.jsonl",
  line,
  messages: [{ role: "user", content: `Frage ${line}: größer als 🎉?` }],
  responses: [`Ja – ${"数".repeat(line % 5)}`, "Nein\n\u2028"],
  ...changes,
});

let files = 0;
async function rowFile(rows: readonly PlacedRow[]) {
  async function* all() {
    yield* rows;
  }
  return writeRowFile(join(folder, `rows-${files++}.jsonl`), all());
}

describe("a file of rows", () => {
  test("gives every row back, in any order", async () => {
    const rows = Array.from({ length: 3000 }, (_, line) => row(line));
    const file = await rowFile(rows);
    expect(file.count).toBe(3000);
    for (const index of [2999, 0, 1500, 1, 2998]) expect(file.read(index)).toEqual(rows[index]);
    expect(
      readFileSync(join(folder, "rows-0.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(rows);
    file.close();
  });

  test("has a digest of what is learnt, not of names and places, and counts repeats", async () => {
    const rows = [row(1), row(2)];
    const digests = await Promise.all(
      [
        rows,
        rows.map((each, index) => ({ ...each, id: "other", line: 90 + index })),
        [...rows].reverse(),
        [rows[0]!, { ...rows[1]!, tools: [] }],
        [...rows, { ...rows[0]!, id: "again" }],
      ].map(async (each) => {
        const { digest, repeated, close } = await rowFile(each);
        close();
        return { digest, repeated };
      }),
    );
    expect(digests[1]).toEqual(digests[0]);
    expect(new Set(digests.map(({ digest }) => digest)).size).toBe(4);
    expect(digests.map(({ repeated }) => repeated)).toEqual([0, 0, 0, 0, 1]);
  });

  test("is not there when reading the rows failed", async () => {
    async function* failing() {
      yield row(1);
      throw new Error("cut off");
    }
    await expect(writeRowFile(join(folder, "failed.jsonl"), failing())).rejects.toThrow("cut off");
    expect(existsSync(join(folder, "failed.jsonl"))).toBe(false);
  });
});

describe("rows that are tokenised when they come", () => {
  const long = row(1, { messages: [{ role: "user", content: "word ".repeat(400) }] });
  const rows = [row(0), long, row(2), row(3)];
  const options = { tokenizer, limits, unusable: "drop", keepTokens: 60 } as const;

  test("are those that all at once would be, and no others are looked at", async () => {
    const file = await rowFile(rows);
    const lazy = lazyRows(file, options);
    expect(lazy.counts().looked).toBe(0);
    expect(lazy.at(3)).toEqual(tokeniseRows([rows[3]!], tokenizer, limits).rows[0]);
    expect(lazy.counts().looked).toBe(1);
    expect([0, 1, 2, 3].map((index) => lazy.at(index)).filter((found) => found !== undefined)).toEqual(
      tokeniseRows(rows, tokenizer, limits).rows,
    );
    expect(lazy.counts()).toEqual({
      looked: 4,
      shortened: 0,
      cut: 0,
      leftOut: [
        { reason: "longer than max_length (200) or max_prompt_length (150)", rows: 1, first: ["data.jsonl:1"] },
      ],
    });
    file.close();
  });

  test("are known to a later process by what the earlier one found", async () => {
    const file = await rowFile(rows);
    const first = lazyRows(file, options);
    for (let index = 0; index < rows.length; index++) first.at(index);
    const known = JSON.parse(JSON.stringify(first.known()));
    const second = lazyRows(file, { ...options, known });
    expect(second.counts()).toEqual(first.counts());
    expect(second.at(1)).toBeUndefined();
    expect(second.at(2)).toEqual(first.at(2));
    file.close();
  });

  test("keep_end shortens the prompt alone, and error is one with the place", async () => {
    const file = await rowFile([long]);
    const cut = lazyRows(file, { ...options, limits: { ...limits, overlong: "keep_end" } });
    const { prompt, responses } = cut.at(0)!;
    expect(prompt).toEqual(tokenizer.encodePrompt(long.messages).slice(-150));
    expect(responses).toEqual(long.responses.map((text) => tokenizer.encodeResponse(text)));
    expect(cut.counts()).toMatchObject({ shortened: 1, leftOut: [] });
    const strict = lazyRows(file, { ...options, limits: { ...limits, overlong: "error" } });
    expect(() => strict.at(0)).toThrow(
      expect.objectContaining({ code: "DATA", place: { file: "data.jsonl", line: 1 } }),
    );
    file.close();
  });
});
