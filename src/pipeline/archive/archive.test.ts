import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTable, writeTable } from "../../data/index.ts";
import { openLedger, readLedger, runTables } from "../../store/index.ts";
import { postgresServer } from "../../store/testing/engines.ts";
import { postgresPrograms } from "../../store/testing/postgres.ts";
import { answer, draw, prompt } from "../../store/testing/rows.ts";
import { silent } from "../events.ts";
import { exportRun } from "./export.ts";
import { importRun } from "./import.ts";
import { digestOf } from "./manifest.ts";

const folder = mkdtempSync(join(tmpdir(), "archive-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const around = { listener: silent, signal: new AbortController().signal };

const recipe = {
  name: "archive",
  prompts: { file: "./prompts.jsonl" },
  target: { model: "owner/model" },
  sources: [{ name: "a", endpoint: { url: "http://localhost:1/v1", model: "m" } }],
  rewards: [{ kind: "checks" }],
  evaluation: { prompts: { file: "./prompts.jsonl" } },
};

/** A NUL, half a surrogate pair, and what looks like one. */
const texts = ["plain", "nul \0", "half \ud83d", 'a "quote" \\ud83d', "🌧 東京"];

beforeAll(async () => {
  const ledger = await openLedger(at("run"));
  const prompts = texts.map((_, index) => ({ ...prompt(`p${index}`), ...(index === 0 ? { domain: "d" } : {}) }));
  prompts[1]!.checks = [{ id: "keywords:existence", args: { keywords: ["x", "\ud800"] } }] as never;
  await ledger.prompts.replace(prompts);
  await ledger.responses.declare("sources", [draw("a")]);
  const extras = { reasoning: "first", logprobs: [{ token: "é", logprob: -0.1 }] };
  await ledger.responses.add("sources", "a", [
    ...texts.map((text, index) => ({ ...answer(`p${index}`, 0, text), ...(index === 0 ? { extras } : {}) })),
    { promptId: "p0", index: 1, failure: "why" },
  ] as never);
  const [keys, ids]: [string[], string[]] = [[], []];
  for await (const { key, promptId } of ledger.responses.byStage("sources")) {
    keys.push(key);
    ids.push(promptId);
  }
  await ledger.scores.add("reward", [
    {
      promptId: ids[0]!,
      responseKey: keys[0]!,
      reward: "reward",
      value: 0.1 + 0.2,
      parts: [{ name: "n", value: 1 / 3, weight: 1 }],
    },
    { promptId: ids[1]!, responseKey: keys[1]!, reward: "reward", value: 0, parts: [] },
    { promptId: ids[2]!, responseKey: keys[2]!, failure: "no" },
  ]);
  await ledger.selections.replace("wrpo", [
    { promptId: "p0", sourceChosen: keys[0]!, furtherSources: [keys[1]!] },
    { promptId: "p1", leftOut: "gap" },
  ]);
  await ledger.referenceLogps.add([
    { model: "m", template: "t", promptTokens: "p", response: "r", logp: -1e-7, tokens: 3 },
  ]);
  await ledger.judgements.add("judge", [{ key: "k", value: { better: null } }]);
  await ledger.evaluations.set("comparison", "inputs", { mean: 1 });
  await ledger.stages.start("sample", "inputs", { total: 5, done: 0 });
  await ledger.close();
  writeFileSync(at("run/recipe.yaml"), JSON.stringify(recipe));
  writeFileSync(at("run/prompts.jsonl"), "{}\n");
  writeFileSync(at("run/.env"), "KEY=secret\n");
  await exportRun({ run: at("run"), folder: at("export"), ...around });
});

const rowsOf = async (run: string) => {
  const reader = await readLedger(run);
  const rows = await reader.snapshot(async (snapshot) => {
    const found: unknown[] = [];
    for (const table of Object.keys(runTables) as (keyof typeof runTables)[])
      for await (const page of snapshot.rows(table)) found.push(...page.map((row) => [table, row]));
    return found;
  });
  await reader.close();
  return rows;
};

const filesOf = (path: string): Record<string, string> =>
  Object.fromEntries(
    (readdirSync(path, { recursive: true }) as string[])
      .filter((name) => statSync(join(path, name)).isFile())
      .map((name) => [name, readFileSync(join(path, name), "latin1")]),
  );

test("an export that is imported has the same rows, and is exported as the same files; nothing else of the folder comes along", async () => {
  await importRun({ folder: at("export"), run: at("again"), ...around });
  expect(await rowsOf(at("again"))).toEqual(await rowsOf(at("run")));
  expect(
    readdirSync(at("again"))
      .filter((name) => !/-(wal|shm)$/.test(name))
      .sort(),
  ).toEqual(["prompts.jsonl", "recipe.yaml", "run.db"]);
  await exportRun({ run: at("again"), folder: at("export-again"), ...around });
  expect(filesOf(at("export-again"))).toEqual(filesOf(at("export")));
  expect(readdirSync(folder).filter((name) => name.endsWith(".partial"))).toEqual([]);
});

test("texts are texts, and what UTF-8 does not have stands beside them as JSON", async () => {
  const columns = [
    { name: "text", type: "text", nullable: false },
    { name: "text_json", type: "text", nullable: true },
  ] as const;
  const { parquetReadObjects, asyncBufferFromFile } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const file = await asyncBufferFromFile(at("export/responses.parquet"));
  const rows = await parquetReadObjects({ file, compressors, columns: columns.map(({ name }) => name) });
  const found = new Map(rows.map(({ text, text_json }) => [text as string, (text_json as string | undefined) ?? null]));
  expect(found.get("nul \0")).toBeNull();
  expect(found.get("🌧 東京")).toBeNull();
  expect(found.get("half \ufffd")).toBe('"half \\ud83d"');
});

describe.skipIf(postgresPrograms() === undefined)("PostgreSQL", () => {
  const server = postgresServer();
  test("a shared ledger takes the same rows and gives the same files; a filled one is refused", async () => {
    const { url, schema } = server().freshLedger();
    const overrides = [`ledger.url=${url}`, `ledger.schema=${schema}`];
    await importRun({ folder: at("export"), run: at("shared"), overrides, ...around });
    expect(existsSync(at("shared/run.db"))).toBe(false);
    await exportRun({ run: at("shared"), folder: at("export-shared"), ...around });
    const [shared, own] = [filesOf(at("export-shared")), filesOf(at("export"))];
    for (const name of Object.keys(own).filter((path) => path.endsWith(".parquet")))
      expect(shared[name]).toBe(own[name]);
    expect(shared["run/recipe.yaml"]).not.toContain("postgresql");
    await expect(importRun({ folder: at("export"), run: at("taken"), overrides, ...around })).rejects.toMatchObject({
      message: "this ledger holds a run already",
    });
    expect(existsSync(at("taken"))).toBe(false);
  });
});

describe("a damaged export is refused, and nothing is made of it", () => {
  /** Rewrites a table, and its line of the manifest with it. */
  async function rewritten(
    path: string,
    change: (row: Record<string, unknown>) => Record<string, unknown>,
    as: object[],
  ) {
    const columns = as as Parameters<typeof writeTable>[1];
    const file = join(path, "score_counts.parquet");
    const known = ["stage", "reward"].map((name) => ({ name, type: "text" as const, nullable: false }));
    const rows: Record<string, unknown>[] = [];
    for await (const page of readTable(file, [...known, { name: "done", type: "integer", nullable: false }]))
      rows.push(...page.map(change));
    const table = writeTable(file, columns);
    table.add(rows);
    table.finish();
    const manifest = JSON.parse(readFileSync(join(path, "manifest.json"), "utf8"));
    Object.assign(manifest.tables.score_counts, await digestOf(file, () => {}));
    writeFileSync(join(path, "manifest.json"), JSON.stringify(manifest));
  }
  const text = (name: string, nullable = false) => ({ name, type: "text", nullable });
  const edit = (path: string, change: (manifest: Record<string, never>) => void) => {
    const manifest = JSON.parse(readFileSync(join(path, "manifest.json"), "utf8"));
    change(manifest);
    writeFileSync(join(path, "manifest.json"), JSON.stringify(manifest));
  };
  const flip = (file: string) => {
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(file, bytes);
  };
  const cases: [string, (path: string) => void | Promise<void>, object][] = [
    ["a bit", (path) => flip(join(path, "responses.parquet")), { message: expect.stringContaining("digest") }],
    ["a missing file", (path) => rmSync(join(path, "scores.parquet")), { message: "a file of the export is missing" }],
    [
      "a cut file",
      (path) => writeFileSync(join(path, "run/prompts.jsonl"), ""),
      { message: expect.stringContaining("has 0 bytes") },
    ],
    [
      "a newer form",
      (path) => edit(path, (m) => Object.assign(m, { schema: 999 })),
      { hint: expect.stringContaining("upgrade") },
    ],
    ["an older schema", (path) => edit(path, (m) => Object.assign(m, { schema: 2 })), { place: { field: "schema" } }],
    [
      "a path out of the folder",
      (path) => edit(path, (m) => Object.assign(m.files![0]!, { path: "../../x" })),
      { place: { field: "files.0.path" }, message: "a path below the run folder" },
    ],
    [
      "a missing column",
      (path) => rewritten(path, (row) => row, [text("stage"), text("reward")]),
      { message: "the file lacks this column", place: { field: "done" } },
    ],
    [
      "another type",
      (path) =>
        rewritten(path, ({ done, ...row }) => ({ ...row, done: String(done) }), [
          text("stage"),
          text("reward"),
          text("done"),
        ]),
      { message: expect.stringContaining("another type than integer"), place: { field: "done" } },
    ],
  ];
  test.each(cases)("%s", async (name, damage, error) => {
    const path = at(`damaged ${name}`);
    cpSync(at("export"), path, { recursive: true });
    await damage(path);
    const run = at(`run of ${name}`);
    await expect(importRun({ folder: path, run, ...around })).rejects.toMatchObject({ name: "DataError", ...error });
    expect([existsSync(run), existsSync(`${run}.partial`)]).toEqual([false, false]);
  });
});

test("what is there already stays, and a run that is worked on is not exported", async () => {
  await expect(exportRun({ run: at("run"), folder: at("export"), ...around })).rejects.toMatchObject({
    message: "there is something here already",
  });
  const ledger = await openLedger(at("run"));
  await expect(exportRun({ run: at("run"), folder: at("held"), ...around })).rejects.toMatchObject({ code: "LEDGER" });
  await ledger.close();
  expect(existsSync(at("held.partial"))).toBe(false);
});
