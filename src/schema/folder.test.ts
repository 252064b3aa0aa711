import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { makeFolder } from "./index.ts";

const scratch = mkdtempSync(join(tmpdir(), "amalgam-folder-"));
afterAll(() => rmSync(scratch, { recursive: true }));

test("folders are made with those above them, once and again", () => {
  const deep = join(scratch, "a", "b", "c");
  for (let round = 0; round < 2; round++) {
    makeFolder(deep);
    expect(statSync(deep).isDirectory()).toBe(true);
  }
  makeFolder(`${join(scratch, "d", "e")}/`);
  expect(statSync(join(scratch, "d", "e")).isDirectory()).toBe(true);
});

test("what can't be made is an error, below a file and at its name", () => {
  writeFileSync(join(scratch, "file"), "");
  expect(() => makeFolder(join(scratch, "file"))).toThrow(/EEXIST/);
  expect(() => makeFolder(join(scratch, "file", "below"))).toThrow(/ENOTDIR/);
});

test.runIf(existsSync("/proc/self"))("where the system makes none, it is an error too, and soon", () => {
  expect(() => makeFolder("/proc/amalgam")).toThrow(/ENOENT/);
  expect(() => makeFolder("/proc/amalgam/below")).toThrow(/ENOENT/);
});
