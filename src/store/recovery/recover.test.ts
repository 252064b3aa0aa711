import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ledger, openLedger, readLedger } from "../index.ts";
import { openSqlite } from "../sqlite.ts";
import { answer, draw, prompt } from "../testing/rows.ts";
import { recoverLedger } from "./recover.ts";

const place = mkdtempSync(join(tmpdir(), "recover-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const prompts = Array.from({ length: 120 }, (_, i) => prompt(`p${i}`));
const draws = [draw("m1", { n: 3 }), draw("m2", { n: 2 })];
/** Some texts stand on one page, some on three. */
const textOf = (source: string, id: string, index: number) =>
  `${source} ${id}/${index} `.repeat(10 + 997 * Number(Number(id.slice(1)) % 10 === 0));
const outcomes = (source: string, n: number) =>
  prompts.flatMap(({ id }) => Array.from({ length: n }, (_, index) => answer(id, index, textOf(source, id, index))));
const responses = 120 * 5;

async function fill(ledger: Ledger): Promise<void> {
  await ledger.prompts.replace(prompts);
  await ledger.responses.declare("sources", draws);
  for (const { source, n } of draws) await ledger.responses.add("sources", source, outcomes(source, n));
  const scores = [];
  for await (const { key, promptId } of ledger.responses.byStage("sources"))
    scores.push({ promptId, responseKey: key, reward: "reward", value: scores.length / 7, parts: [] });
  await ledger.scores.add("reward", scores);
  await ledger.stages.start("sample", "inputs", { total: 1, done: 0 });
  await ledger.stages.finish("sample", {});
  await ledger.evaluations.set("comparison", "inputs", { mean: 1 });
  await ledger.meta.set("spent", "much");
}

const whole = join(place, "whole");
/** The same with its last commits in the write-ahead log, as a killed process leaves it. */
const killed = join(place, "killed");
beforeAll(async () => {
  const ledger = await openLedger(whole);
  await fill(ledger);
  await ledger.close();
  const other = await openLedger(join(place, "working"));
  await fill(other);
  cpSync(join(place, "working"), killed, { recursive: true });
  await other.close();
});

let copies = 0;
function copyOf(folder: string): { folder: string; file: string } {
  const copy = join(place, `copy-${copies++}`);
  cpSync(folder, copy, { recursive: true });
  rmSync(join(copy, "run.lock"), { force: true });
  return { folder: copy, file: join(copy, "run.db") };
}

function overwrite(file: string, at: number, bytes: Buffer): void {
  const handle = openSync(file, "r+");
  writeSync(handle, bytes, 0, bytes.length, at);
  closeSync(handle);
}

/** Recovers, holds what was saved to the truth, has what is lost drawn again, and gives how much was lost. */
async function recovered(folder: string): Promise<{ lost: number; told: ReadonlyMap<string, number | undefined> }> {
  const before = existsSync(join(folder, "run.db")) ? readFileSync(join(folder, "run.db")) : undefined;
  const { faults, tables, kept } = await recoverLedger(folder);
  expect(faults).not.toEqual([]);
  if (before !== undefined) expect(readFileSync(kept!).equals(before)).toBe(true);
  const ledger = await openLedger(folder);
  await ledger.verify();
  await ledger.prompts.replace(prompts);
  await ledger.responses.declare("sources", draws);
  let saved = 0;
  for await (const { source, promptId, index, text } of ledger.responses.byStage("sources")) {
    expect(text).toBe(textOf(source, promptId, index));
    saved += 1;
  }
  for await (const { responses: scored } of ledger.scores.byPrompt("sources", "reward"))
    for (const { value } of scored) expect(Number.isInteger(Math.round(value * 7))).toBe(true);
  let asked = 0;
  for (const { source } of draws) {
    for await (const { promptId, indices } of ledger.responses.missing("sources", source)) {
      asked += indices.length;
      const again = indices.map((index) => answer(promptId, index, textOf(source, promptId, index)));
      await ledger.responses.add("sources", source, again);
    }
  }
  expect(asked).toBe(responses - saved);
  expect((await ledger.stages.list()).every(({ state }) => state !== "done")).toBe(true);
  await ledger.verify();
  await ledger.close();
  return { lost: responses - saved, told: new Map(tables.map(({ name, lost }) => [name, lost])) };
}

const pagesOf = (file: string) => statSync(file).size / 4096;

/** How many responses SQLite has on the first pages of the file. */
async function responsesUpTo(file: string, pages: number): Promise<number> {
  const db = openSqlite(file);
  const { rows } = await sql<{ count: number }>`select sum(ncell) as count from dbstat
    where name = 'responses' and pagetype = 'leaf' and pageno <= ${pages}`.execute(db);
  await db.destroy();
  return rows[0]!.count;
}

test.each([0.6, 0.3])("a file that is cut off at %f of its length", async (share) => {
  const { folder, file } = copyOf(whole);
  const pages = Math.floor(pagesOf(file) * share) - 1;
  const standing = await responsesUpTo(file, pages);
  truncateSync(file, (pages + 1) * 4096 - 1000);
  await expect(openLedger(folder)).rejects.toMatchObject({
    hint: expect.stringContaining(`amalgam recover ${folder}`),
  });
  await expect(readLedger(folder)).rejects.toMatchObject({ hint: expect.stringContaining("amalgam recover") });
  const { lost, told } = await recovered(folder);
  // The page that the cut goes through may have held the end of a text.
  expect(lost).toBeGreaterThanOrEqual(responses - standing);
  expect(lost).toBeLessThanOrEqual(responses - standing + 1);
  if (share > 0.5) expect(told.get("responses")).toBe(lost);
});

test("pages that are overwritten, wherever they are, cost the rows on them and no others", async () => {
  let state = 11;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  for (const byte of [undefined, 7]) {
    const { folder, file } = copyOf(whole);
    for (let hit = 0; hit < 6; hit += 1) {
      const junk = Buffer.from(Array.from({ length: 4096 }, () => byte ?? random(256)));
      overwrite(file, (1 + random(pagesOf(file) - 1)) * 4096, junk);
    }
    const { lost } = await recovered(folder);
    // A page holds at most a dozen of these rows.
    expect(lost).toBeLessThanOrEqual(6 * 16);
  }
});

test.each([100, 4096])("a file whose first %i bytes are overwritten loses nothing", async (length) => {
  const { folder, file } = copyOf(whole);
  overwrite(file, 0, Buffer.alloc(length, 7));
  await expect(openLedger(folder)).rejects.toMatchObject({ hint: expect.stringContaining("amalgam recover") });
  const { lost, told } = await recovered(folder);
  expect(lost).toBe(0);
  expect([told.get("responses"), told.get("scores"), told.get("meta")]).toEqual([0, 0, 0]);
  const reader = await readLedger(folder);
  expect(await reader.meta.get("spent")).toBe("much");
  expect(await reader.evaluations.get("comparison", "inputs")).toEqual({ mean: 1 });
  await reader.close();
});

test("a killed process's log: gone with its commits, read where the file itself is overwritten, and used up to its own damage", async () => {
  const log = statSync(join(killed, "run.db-wal")).size;
  expect(log).toBeGreaterThan(100_000);
  const header = copyOf(killed);
  overwrite(header.file, 0, Buffer.alloc(4096, 7));
  rmSync(`${header.file}-shm`, { force: true });
  expect((await recovered(header.folder)).lost).toBe(0);

  const emptied = copyOf(killed);
  writeFileSync(emptied.file, "");
  await expect(openLedger(emptied.folder)).rejects.toThrow(/damaged: the file is empty/);
  expect((await recovered(emptied.folder)).lost).toBeLessThan(responses);

  const gone = copyOf(killed);
  rmSync(`${gone.file}-wal`);
  rmSync(`${gone.file}-shm`, { force: true });
  const ledger = await openLedger(gone.folder).catch(() => undefined);
  await ledger?.close();
  if (ledger === undefined) await recovered(gone.folder);
});

test("counts and keys that don't fit their rows are found and mended", async () => {
  const { folder, file } = copyOf(whole);
  const db = openSqlite(file);
  await db.updateTable("draws").set({ done: 359 }).where("source", "=", "m1").execute();
  const one = await db.selectFrom("responses").selectAll().limit(1).executeTakeFirstOrThrow();
  await db
    .updateTable("responses")
    .set({ key: "f".repeat(32) })
    .where("key", "=", one.key)
    .execute();
  await db.destroy();
  const { lost, told } = await recovered(folder);
  expect([lost, told.get("responses")]).toEqual([1, 1]);
});

const earlier = (version: number) => {
  const folder = mkdtempSync(join(place, "earlier-"));
  const file = join(folder, "run.db");
  writeFileSync(file, gunzipSync(readFileSync(join(import.meta.dirname, "../fixtures", `ledger-v${version}.db.gz`))));
  return { folder, file };
};

test.each([1, 6, 7])("a damaged ledger of schema %i is saved, and is of the newest one then", async (version) => {
  const whole = earlier(version);
  expect(await recoverLedger(whole.folder)).toEqual({ faults: [], tables: [] });
  const { folder, file } = earlier(version);
  overwrite(file, 0, Buffer.alloc(100, 7));
  const { tables } = await recoverLedger(folder);
  const told = new Map(tables.map(({ name, ...counts }) => [name, counts]));
  expect(told.get("responses")).toEqual({ saved: 15, lost: 0 });
  expect(told.get("scores")).toEqual({ saved: 15, lost: 0 });
  const ledger = await openLedger(folder);
  await ledger.verify();
  expect((await ledger.scoreStatus()).map(({ done, total }) => [done, total])).toEqual([
    [11, 11],
    [4, 4],
  ]);
  await ledger.close();
});

test("a ledger that is whole is left as it is, and one that somebody works on, or a newer one, isn't touched", async () => {
  const { folder, file } = copyOf(whole);
  const before = readFileSync(file);
  expect(await recoverLedger(folder)).toEqual({ faults: [], tables: [] });
  expect(readFileSync(file).equals(before)).toBe(true);
  const ledger = await openLedger(folder);
  await expect(recoverLedger(folder)).rejects.toThrow(/is working in this run folder/);
  await ledger.meta.set("schema_version", "99");
  await ledger.close();
  await expect(recoverLedger(folder)).rejects.toThrow(/schema 99/);
  overwrite(file, 0, Buffer.alloc(100, 7));
  await expect(recoverLedger(folder)).rejects.toThrow(/schema 99/);
  await expect(recoverLedger(join(place, "nowhere"))).rejects.toThrow(/no run here/);
});
