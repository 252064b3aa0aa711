import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrate } from "./migrations.ts";
import { openSqlite } from "./sqlite.ts";
import { type StageStore, stageStore } from "./stages.ts";
import type { Database } from "./tables.ts";

let folder: string;
let db: Database;
let stages: StageStore;
let time: number;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stages-"));
  db = openSqlite(join(folder, "run.db"));
  await migrate(db, folder);
  time = Date.parse("2026-01-01T00:00:00Z");
  stages = stageStore(db, () => time);
});

afterEach(async () => {
  await db.destroy();
  rmSync(folder, { recursive: true, force: true });
});

const pass = (seconds: number) => {
  time += seconds * 1000;
};

test("rate and time left count from the present attempt, not from what was there before", async () => {
  await stages.start("sources", "inputs", { total: 100, done: 40 });
  expect(await stages.get("sources")).toMatchObject({ state: "running", done: 40, seconds: 0 });
  expect((await stages.get("sources"))!.rate).toBeUndefined();
  pass(10);
  await stages.progress("sources", { done: 60, failed: 3 });
  expect(await stages.get("sources")).toMatchObject({ done: 60, failed: 3, rate: 2, secondsLeft: 20, seconds: 10 });
  await stages.progress("sources", { done: 60, total: 160 });
  expect(await stages.get("sources")).toMatchObject({ total: 160, secondsLeft: 50 });
  pass(20);
  await stages.finish("sources", { responses: 97, failed: 3 });
  const finished = (await stages.get("sources"))!;
  expect(finished).toMatchObject({ state: "done", seconds: 30, counts: { responses: 97, failed: 3 } });
  expect(finished.finishedAt).toEqual(new Date(time));
  expect(finished.secondsLeft).toBeUndefined();
});

test("a killed attempt counts up to its last progress, a failed one in full", async () => {
  await stages.start("sft", "inputs", { total: 10, done: 0 });
  pass(7);
  await stages.progress("sft", { done: 4 });
  pass(3600);
  await stages.start("sft", "inputs", { total: 10, done: 4 });
  pass(2);
  await stages.fail("sft", { reason: "the loss is not finite" });
  expect(await stages.get("sft")).toMatchObject({ state: "failed", seconds: 9 });
  await stages.start("sft", "inputs", { total: 10, done: 4 });
  pass(5);
  await stages.finish("sft", {});
  expect((await stages.get("sft"))!.seconds).toBe(14);
});

test("a stage is done for its inputs only; other inputs start its clock anew; the order of the stages stays", async () => {
  await stages.start("select", "one", { total: 1, done: 0 });
  pass(1);
  await stages.finish("select", {});
  await stages.start("train", "one", { total: 1, done: 0 });
  expect(await stages.isDone("select", "one")).toBe(true);
  expect(await stages.isDone("select", "two")).toBe(false);
  expect(await stages.isDone("train", "one")).toBe(false);
  expect(await stages.isDone("nothing", "one")).toBe(false);
  pass(1);
  await stages.start("select", "two", { total: 1, done: 0 });
  expect(await stages.isDone("select", "one")).toBe(false);
  expect((await stages.get("select"))!.seconds).toBe(0);
  expect((await stages.list()).map(({ name }) => name)).toEqual(["select", "train"]);
  await expect(stages.finish("nothing", {})).rejects.toThrow(/not started/);
});
