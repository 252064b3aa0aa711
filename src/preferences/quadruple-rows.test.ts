import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DataError, EnvironmentError, type Quadruple, type QuadrupleRow } from "../schema/index.ts";
import { fromRow, readQuadruples, toRow, writeQuadruples } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "quadruples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Rows that the authors' trainer was run on: see golden/README.md in the project's shared folder. */
const golden = join(import.meta.dirname, "fixtures/golden-quadruples.jsonl");

const quadruple: Quadruple = {
  promptId: "p",
  messages: [{ role: "user", content: "x" }],
  sourceChosen: "y_ws",
  targetChosen: "y_wt",
  rejected: "y_l",
};

async function reading(content: string | Buffer): Promise<unknown> {
  const file = join(folder, "rows.jsonl");
  writeFileSync(file, content);
  return await readQuadruples(file).catch((error: unknown) => error);
}

test("the rows of the authors' trainer are read, and written back value for value", async () => {
  const rows = readFileSync(golden, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as QuadrupleRow);
  const quadruples = await readQuadruples(golden);
  expect(quadruples.map(({ sourceChosen }) => sourceChosen)).toEqual(rows.map((row) => row.chosen[0]!.content));
  expect(quadruples.map(({ targetChosen }) => targetChosen)).toEqual(rows.map((row) => row.chosen[1]!.content));
  expect(quadruples.map(({ rejected }) => rejected)).toEqual(rows.map((row) => row.rejected[0]!.content));
  expect(quadruples.map(toRow)).toEqual(rows);
  const copy = join(folder, "copy.jsonl");
  await writeQuadruples(copy, quadruples);
  expect(await readQuadruples(copy)).toEqual(quadruples);
});

test("a conversation stays a list, hostile texts survive", async () => {
  const hostile: Quadruple = {
    promptId: 'id "quoted"\n',
    messages: [
      { role: "system", content: "be brief" },
      { role: "user", content: "a\0b \ud800" },
      { role: "assistant", content: "" },
      { role: "user", content: "🦊\u2028" },
    ],
    sourceChosen: "\u00a0.",
    targetChosen: " y ",
    rejected: "\r\n.",
  };
  expect(fromRow(toRow(hostile))).toEqual(hostile);
  const file = join(folder, "hostile.jsonl");
  await writeQuadruples(file, [quadruple, hostile]);
  expect((await readQuadruples(file))[1]).toEqual(hostile);
});

test("of several chosen responses the last is the target's, the others are of sources", async () => {
  const several: Quadruple = { ...quadruple, furtherSources: ["y_ws2", "y_ws3"] };
  expect(toRow(several).chosen.map(({ content }) => content)).toEqual(["y_ws", "y_ws2", "y_ws3", "y_wt"]);
  const file = join(folder, "several.jsonl");
  await writeQuadruples(file, [several, quadruple]);
  expect(await readQuadruples(file)).toEqual([several, quadruple]);
});

test("every mistake is told with line and field", async () => {
  const good = JSON.stringify(toRow(quadruple));
  const row = (over: object) => `${good}\n\n${JSON.stringify({ ...toRow(quadruple), ...over })}\n`;
  const answer = { role: "assistant", content: "y" };
  const cases: Array<[string | Buffer, number | undefined, string | undefined]> = [
    [`${good}\n{"prompt_id": `, 2, undefined],
    [Buffer.concat([Buffer.from(`${good}\r\n`), Buffer.from([0x22, 0xff, 0x22, 0x0a])]), 2, undefined],
    [row({ prompt_id: 7 }), 3, "prompt_id"],
    [row({ extra: 1 }), 3, undefined],
    [row({ chosen: [answer] }), 3, "chosen"],
    [row({ chosen: [answer, { ...answer, role: "user" }, answer] }), 3, "chosen.1"],
    [row({ rejected: [answer, answer] }), 3, "rejected"],
    [row({ rejected: [{ role: "user", content: "y" }] }), 3, "rejected.0"],
    [row({ chosen: [answer, { ...answer, content: " " }] }), 3, "chosen.1"],
    [row({ prompt: [{ role: "user", content: "x" }, answer] }), 3, "prompt"],
    [row({ prompt: [] }), 3, "prompt"],
    ["[]\n", 1, undefined],
    ["\n\n", undefined, undefined],
  ];
  for (const [content, line, field] of cases) {
    const error = await reading(content);
    expect(error, String(content)).toBeInstanceOf(DataError);
    const { place, hint } = error as DataError;
    expect([place.line, place.field], String(content)).toEqual([line, field]);
    expect(hint ?? (error as DataError).message).not.toBe("");
  }
  await expect(readQuadruples(join(folder, "nowhere"))).rejects.toThrow(DataError);
});

test("long lines over many chunks, a byte-order mark, a last line without a break", async () => {
  const long = { ...quadruple, rejected: "漢字".repeat(100_000) };
  const lines = [quadruple, long, quadruple].map((one) => JSON.stringify(toRow(one)));
  expect(await reading(`\ufeff${lines.join("\n")}`)).toEqual([quadruple, long, quadruple]);
});

test("writing that fails says so and leaves no half file", async () => {
  await expect(writeQuadruples(join(folder, "no/such/folder.jsonl"), [quadruple])).rejects.toThrow(EnvironmentError);
});
