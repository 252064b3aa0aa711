import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { copyLedger, holdFolder, openLedger, readLedger } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "copy-ledger-"));
afterAll(() => rmSync(folder, { recursive: true }));

const sampling = { temperature: 1, top_p: 1, top_k: 0, max_tokens: 8, stop: [], seed: 1 };
const messages = [{ role: "user" as const, content: "it's one" }];
const [from, to] = [join(folder, "from"), join(folder, "to")];

test("a copy has what stands under content keys, and of the run what was named; also of a ledger that is being written", async () => {
  const ledger = await openLedger(from);
  await ledger.prompts.replace([{ id: "one", messages, checks: [], split: "wrpo" }]);
  await ledger.responses.declare("sources", [{ source: "a", identity: "a", sampling, n: 1, splits: ["wrpo"] }]);
  const response = {
    promptId: "one",
    index: 0,
    text: "yes\0",
    finish: "stop",
    promptTokens: 1,
    responseTokens: 1,
  } as const;
  await ledger.responses.add("sources", "a", [response]);
  await ledger.selections.replace("wrpo", [{ promptId: "one", leftOut: "why" }]);
  await ledger.evaluations.set("comparison", "inputs", { mean: 1 });
  for (const stage of ["sample", "score"]) {
    await ledger.stages.start(stage, "inputs", { total: 1, done: 0 });
    await ledger.stages.finish(stage, {});
  }
  mkdirSync(to);
  copyLedger(from, to, { stages: ["sample"], selections: [], evaluations: false });
  await ledger.close();
  expect(readdirSync(to)).toEqual(["run.db"]);

  const copy = await openLedger(to);
  expect((await copy.stages.list()).map(({ name, state }) => [name, state])).toEqual([["sample", "done"]]);
  expect(await copy.selections.list("wrpo")).toEqual([]);
  expect(await copy.evaluations.list()).toEqual([]);
  expect(await copy.drawStatus()).toEqual([]);
  await copy.responses.declare("sources", [{ source: "a", identity: "a", sampling, n: 1, splits: ["wrpo"] }]);
  expect(await copy.responses.lacking("sources", "a")).toBe(0);
  await copy.verify();
  await copy.close();

  const original = await readLedger(from);
  expect((await original.stages.list()).map(({ name }) => name)).toEqual(["sample", "score"]);
  expect(await original.evaluations.list()).toHaveLength(1);
  await original.close();
});

test("one that can't be made is told, with its file", () => {
  expect(() => copyLedger(join(folder, "nowhere"), to, { stages: [], selections: [], evaluations: true })).toThrow(
    expect.objectContaining({ code: "LEDGER" }),
  );
  expect(existsSync(join(folder, "nowhere"))).toBe(false);
});

test("a folder is held by one at a time, and made where there is none", () => {
  const fresh = join(folder, "deep", "fresh");
  holdFolder(fresh).release();
  expect(existsSync(fresh)).toBe(true);
  expect(() => holdFolder(join(fresh, "run.lock", "below"))).toThrow(expect.objectContaining({ code: "LEDGER" }));
  const lock = holdFolder(folder);
  expect(() => holdFolder(folder)).toThrow("another process is working in this run folder");
  lock.release();
  holdFolder(folder).release();
});
