import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { compileRooms } from "../schema/testing/compile-rooms.ts";
import { type LedgerReader, openLedger, readLedger } from "./index.ts";
import { migrations, schemaVersion } from "./migrations.ts";
import { openSqlite } from "./sqlite.ts";
import { postgresServer } from "./testing/engines.ts";
import { postgresPrograms } from "./testing/postgres.ts";
import { draw, prompt } from "./testing/rows.ts";

// Each was written by the code of its own time: bench/fixtures/old-ledgers.mjs.
const fixtures = join(import.meta.dirname, "fixtures");
const versionsOf = (ending: string) =>
  readdirSync(fixtures).flatMap((name) => (name.endsWith(ending) ? Number(/v(\d+)/.exec(name)![1]) : []));
const fixture = (version: number, ending: string) =>
  gunzipSync(readFileSync(join(fixtures, `ledger-v${version}${ending}`)));

const place = mkdtempSync(join(tmpdir(), "earlier-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));
let folders = 0;
function folderOf(version: number): string {
  const folder = join(place, `${version}-${folders++}`);
  mkdirSync(folder);
  writeFileSync(join(folder, "run.db"), fixture(version, ".db.gz"));
  return folder;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Everything that the script stored is read as it was. */
async function holdsAll(reader: LedgerReader): Promise<void> {
  expect(await reader.prompts.list()).toEqual([
    ...["a", "b"].map((id) => prompt(id, "sft")),
    ...["c", "d"].map((id) => prompt(id)),
  ]);
  const responses = [
    ...(await collect(reader.responses.byStage("sources"))),
    ...(await collect(reader.responses.byStage("target"))),
  ];
  expect(responses.map(({ source, promptId, index }) => `${source} ${promptId}${index}`)).toEqual(
    "m1 a0,m1 a1,m2 a0,m1 b0,m1 b1,m2 b0,m1 c0,m1 c1,m2 c0,m1 d0,m1 d1,target c0,target c1,target d0,target d1".split(
      ",",
    ),
  );
  for (const { text, source, promptId, index, finish, promptTokens } of responses)
    expect([text, finish, promptTokens]).toEqual([
      `${source} ${promptId}/${index} "\u2028\0`,
      index === 0 ? "stop" : "length",
      3,
    ]);
  const keyOf = (source: string, promptId: string, index: number) =>
    responses.find((one) => one.source === source && one.promptId === promptId && one.index === index)!.key;
  for (const stage of ["sources", "target"])
    for (const { responses: scored } of await collect(reader.scores.byPrompt(stage, "reward")))
      for (const { value, parts, index } of scored)
        expect([value, parts]).toEqual([index + 0.25, [{ name: "checks", value, weight: 1 }]]);
  expect(await reader.drawStatus()).toEqual([
    { stage: "sources", source: "m1", total: 8, done: 8, unfinished: 4, failed: 0 },
    { stage: "sources", source: "m2", total: 4, done: 3, unfinished: 0, failed: 1 },
    { stage: "target", source: "target", total: 4, done: 4, unfinished: 2, failed: 0 },
  ]);
  expect((await reader.scoreStatus()).map(({ done, total }) => [done, total])).toEqual([
    [11, 11],
    [4, 4],
  ]);
  expect(await reader.selections.list("sft")).toEqual([
    { promptId: "a", sourceChosen: keyOf("m1", "a", 1) },
    { promptId: "b", leftOut: "empty" },
  ]);
  expect(await reader.selections.list("wrpo")).toEqual([
    {
      promptId: "c",
      sourceChosen: keyOf("m1", "c", 1),
      targetChosen: keyOf("target", "c", 1),
      rejected: keyOf("target", "c", 0),
    },
  ]);
  const key = { model: "m", template: "t", promptTokens: "p", response: "r" };
  expect(await reader.referenceLogps.get([key])).toEqual([{ logp: -1.5, tokens: 3 }]);
  const judged = "0123456789abcdef0123456789abcdef";
  expect((await reader.judgements.get([judged])).get(judged)).toEqual({ better: "a" });
  expect(await reader.evaluations.get("comparison", "inputs")).toEqual({ mean: 1 });
  expect(await reader.meta.get("recipe")).toBe("digest");
  expect(await reader.stages.get("sample")).toMatchObject({ state: "done", counts: { drawn: 11 } });
  await reader.verify();
}

test("there is a ledger of every schema, made by the code of its time", () => {
  expect(versionsOf(".db.gz").sort()).toEqual(migrations.map(({ version }) => version));
});

test.each(versionsOf(".db.gz"))("a ledger of schema %i is read and worked on as it stands", async (version) => {
  const reader = await readLedger(folderOf(version));
  await holdsAll(reader);
  await reader.close();
  const ledger = await openLedger(folderOf(version));
  await holdsAll(ledger);
  await ledger.responses.declare("sources", [draw("m1"), draw("m2", { n: 1 })]);
  expect((await collect(ledger.responses.missing("sources", "m2"))).map(({ promptId }) => promptId)).toEqual(["d"]);
  await ledger.close();
});

test("a migration that is killed in its middle is undone, and done by the next one who opens the ledger", async () => {
  const folder = folderOf(1);
  const compiled = compileRooms("migration", ["schema", "store"]);
  const script = join(compiled, "script.js");
  writeFileSync(
    script,
    `import { openSqlite } from "./dist/store/sqlite.js";
    import { migrate, migrations } from "./dist/store/migrations.js";
    const file = process.argv[2];
    const killed = { version: 4, async up(db) { await migrations[3].up(db); process.kill(process.pid, "SIGKILL"); await new Promise((r) => setTimeout(r, 9000)); } };
    await migrate(openSqlite(file), file, [...migrations.slice(0, 3), killed]);`,
  );
  const child = () => execFileSync(process.execPath, [script, join(folder, "run.db")], { stdio: "pipe" });
  expect(child).toThrow(expect.objectContaining({ signal: "SIGKILL" }));
  rmSync(compiled, { recursive: true });
  const db = openSqlite(join(folder, "run.db"));
  expect(await schemaVersion(db)).toBe(3);
  await db.destroy();
  const ledger = await openLedger(folder);
  await holdsAll(ledger);
  await ledger.close();
});

describe.skipIf(postgresPrograms() === undefined)("in PostgreSQL", () => {
  const server = postgresServer();

  test.each(versionsOf(".sql.gz"))("a ledger of schema %i is read and worked on as it stands", async (version) => {
    const { url } = server();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(fixture(version, ".sql.gz").toString("utf8"));
    await client.end();
    const shared = { url, schema: `amalgam_v${version}`, lease_seconds: 60 };
    const folder = join(place, `shared-${version}`);
    mkdirSync(folder);
    writeFileSync(join(folder, "ledger.json"), JSON.stringify(shared));
    const reader = await readLedger(folder);
    await holdsAll(reader);
    await reader.close();
    const ledger = await openLedger(folder, { shared });
    await holdsAll(ledger);
    await ledger.close();
  });
});
