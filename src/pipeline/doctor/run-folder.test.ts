import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openLedger } from "../../store/index.ts";
import type { Finding } from "./finding.ts";
import { diagnose } from "./index.ts";
import { runFolderFindings } from "./run-folder.ts";

const place = mkdtempSync(join(tmpdir(), "amalgam-doctor-"));
afterAll(() => rmSync(place, { recursive: true }));

async function all(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const finding of findings) found.push(finding);
  return found;
}

test("a run folder is free, worked on, or no run at all", async () => {
  const folder = join(place, "run");
  expect(await all(runFolderFindings(folder))).toEqual([]);
  const ledger = await openLedger(folder);
  expect(await all(runFolderFindings(folder))).toMatchObject([
    { what: "run folder", outcome: "warning", detail: expect.stringContaining(`process ${process.pid} on `) },
  ]);
  await ledger.close();
  expect(await all(runFolderFindings(folder))).toMatchObject([{ outcome: "ok" }]);
  const other = join(place, "other");
  mkdirSync(other);
  writeFileSync(join(other, "run.db"), "a letter to a friend".repeat(500));
  expect(await all(runFolderFindings(other))).toMatchObject([
    { outcome: "problem", detail: expect.stringContaining("not a ledger"), hint: expect.stringContaining("another") },
  ]);
});

test("a folder without a recipe is a problem, not a machine that is well", async () => {
  const { signal } = new AbortController();
  const found = await all(diagnose({ folder: join(place, "mistyped"), signal, notify: () => {} }));
  expect(found.at(-1)).toMatchObject({
    what: "recipe",
    outcome: "problem",
    detail: expect.stringMatching(/mistyped\/recipe\.yaml: the run folder has no recipe yet/),
  });
});
