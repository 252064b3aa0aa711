import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { CommandName } from "./command-table.ts";
import { refuseFile, runFolder, runFolderIfAny } from "./run-folder.ts";

const place = mkdtempSync(join(tmpdir(), "amalgam-run-folder-"));
afterAll(() => rmSync(place, { recursive: true }));
const [recipe, prompts, run] = ["my.yaml", "prompts.jsonl", "run"].map((name) => join(place, name)) as [
  string,
  string,
  string,
];
mkdirSync(run);
for (const file of [recipe, prompts, join(run, "recipe.yaml"), join(run, "run.db")]) writeFileSync(file, "");

const named = (command: CommandName, target: string | undefined, other?: string) => ({
  command,
  target,
  recipe: other,
});

test.each<[CommandName, string, string]>([
  ["run", recipe, `amalgam run FOLDER --recipe ${recipe}`],
  ["sample", recipe, `amalgam sample FOLDER --recipe ${recipe}`],
  ["doctor", recipe, `amalgam doctor --recipe ${recipe}`],
  ["status", recipe, `\`amalgam run FOLDER --recipe ${recipe}\` was given: amalgam status FOLDER`],
  ["chat", recipe, `\`amalgam run FOLDER --recipe ${recipe}\` was given: amalgam chat FOLDER`],
  ["init", recipe, "amalgam init FOLDER"],
  ["run", prompts, "Name the run folder: amalgam run FOLDER"],
  ["train", join(run, "recipe.yaml"), `amalgam train ${run}`],
  ["status", join(run, "run.db"), `amalgam status ${run}`],
])("%s is told what was meant by the file %s", (command, file, meant) => {
  expect(() => refuseFile(named(command, file))).toThrow(
    expect.objectContaining({
      message: `${file} is a file, and ${command} wants a folder`,
      hint: expect.stringMatching(new RegExp(`${meant.replaceAll(".", "\\.")}$`)),
    }),
  );
});

test("a recipe that is named twice is asked for a folder", () => {
  expect(() => runFolder(named("run", recipe, recipe))).toThrow(
    expect.objectContaining({ hint: "Name the run folder: amalgam run FOLDER" }),
  );
});

test("a folder is taken as it is, whether there is one or not", () => {
  expect(runFolder(named("run", run))).toBe(run);
  expect(runFolder(named("run", join(place, "new")))).toBe(join(place, "new"));
  expect(runFolderIfAny(named("doctor", undefined))).toBeUndefined();
  expect(() => runFolder(named("run", undefined))).toThrow("name the run folder: amalgam run FOLDER");
});
