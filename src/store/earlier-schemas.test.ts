import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileRooms } from "../schema/testing/compile-rooms.ts";
import { type LedgerReader, openLedger, type RunTable, readLedger, runTables } from "./index.ts";
import { migrations, newestSchema, schemaVersion } from "./migrations.ts";
import { exchangedSchema } from "./raw-rows.ts";
import { openSqlite } from "./sqlite.ts";
import { postgresServer } from "./testing/engines.ts";
import { postgresPrograms } from "./testing/postgres.ts";
import { answer, draw, prompt } from "./testing/rows.ts";

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

describe("a migration that is killed in its middle", () => {
  let compiled: string;
  beforeAll(() => {
    compiled = compileRooms("migration", ["schema", "store"]);
  });
  afterAll(() => rmSync(compiled, { recursive: true, force: true }));

  /** Migrates in a process that ends in this step, when it has done so much of it. */
  async function killIn(step: string, file: string): Promise<number> {
    const script = join(compiled, "script.js");
    writeFileSync(
      script,
      `import { openSqlite } from "./dist/store/sqlite.js";
      import { migrate, migrations } from "./dist/store/migrations.js";
      const file = process.argv[2];
      const end = async () => { process.kill(process.pid, "SIGKILL"); await new Promise((r) => setTimeout(r, 9000)); };
      await migrate(openSqlite(file), file, ${step});`,
    );
    const child = () => execFileSync(process.execPath, [script, file], { stdio: "pipe" });
    expect(child).toThrow(expect.objectContaining({ signal: "SIGKILL" }));
    const db = openSqlite(file);
    const version = await schemaVersion(db);
    await db.destroy();
    return version;
  }

  test("is undone, and done by the next one who opens the ledger", async () => {
    const folder = folderOf(1);
    const step =
      "[...migrations.slice(0, 3), { version: 4, async up(db) { await migrations[3].up(db); await end(); } }]";
    expect(await killIn(step, join(folder, "run.db"))).toBe(3);
    const ledger = await openLedger(folder);
    await holdsAll(ledger);
    await ledger.close();
  });

  test("goes on where it was, where it is one of several commits", async () => {
    const prompts = Array.from({ length: 300 }, (_, index) => prompt(`p${index}`));
    const newest = await openLedger(join(place, "newest"));
    await newest.prompts.replace([prompt("gone"), ...prompts]);
    await newest.responses.declare("sources", [draw("m1", { n: 3 }), draw("m2", { n: 1 })]);
    for (const [source, n] of [
      ["m1", 3],
      ["m2", 1],
    ] as const)
      await newest.responses.add(
        "sources",
        source,
        ["gone", ...prompts.slice(1).map(({ id }) => id)].flatMap((id) =>
          Array.from({ length: n }, (_, index) => answer(id, index, `${source} ${id} ${index}`)),
        ),
      );
    const scores = [];
    for await (const { key, promptId, index } of newest.responses.byStage("sources"))
      scores.push({ promptId, responseKey: key, reward: "reward", value: index, parts: [] });
    await newest.scores.add("reward", scores.slice(0, -1));
    const { promptId, responseKey } = scores.at(-1)!;
    await newest.scores.add("reward", [{ promptId, responseKey, failure: "no" }]);
    // Without one of its prompts: what belongs to it stays.
    await newest.prompts.replace(prompts);
    await newest.responses.declare("sources", [draw("m1", { n: 3 }), draw("m2", { n: 1 })]);
    const rowsIn = (reader: LedgerReader) =>
      reader.snapshot(async (rows) => {
        const found: unknown[] = [];
        for (const table of Object.keys(runTables) as RunTable[])
          for await (const page of rows.rows(table)) found.push(...page.map((row) => [table, row]));
        return found;
      });
    const before = await rowsIn(newest);
    expect(before.length).toBeGreaterThan(2 * 1200);

    const folder = join(place, "sixth");
    const sixth = await openLedger(folder, { schema: exchangedSchema });
    await newest.snapshot((rows) =>
      sixth.fill(async (insert) => {
        for (const table of Object.keys(runTables) as RunTable[])
          for await (const page of rows.rows(table)) await insert(table, page);
      }),
    );
    await newest.close();
    await sixth.close();
    const step = `(() => {
      let times = 0;
      const some = async (db) => { const more = await migrations[7].some(db); if ((times += 1) === 2) await end(); return more; };
      return [...migrations.slice(0, 7), { ...migrations[7], some }];
    })()`;
    expect(await killIn(step, join(folder, "run.db"))).toBe(7);
    const reader = await readLedger(folder);
    await reader.verify();
    expect(await rowsIn(reader)).toEqual(before);
    expect(await reader.drawStatus()).toMatchObject([
      { total: 900, done: 897 },
      { total: 300, done: 299 },
    ]);
    await reader.close();
  });
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

  test("a ledger that an earlier Amalgam works on is left as it is", async () => {
    const { url } = server();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const schema = "amalgam_worked_on";
    await client.query(fixture(6, ".sql.gz").toString("utf8").replaceAll("amalgam_v6", schema));
    const later = Date.now() + 1_000_000;
    await client.query(`insert into ${schema}.workers values ('w', 'host', 1, 1, ${later})`);
    const open = () => openLedger(join(place, "beside"), { shared: { url, schema, lease_seconds: 60 } });
    await expect(open()).rejects.toThrow(/an earlier Amalgam works on this ledger/);
    const version = `select value from ${schema}.meta where name = 'schema_version'`;
    expect((await client.query(version)).rows).toEqual([{ value: "6" }]);
    await client.query(`delete from ${schema}.workers`);
    await (await open()).close();
    expect((await client.query(version)).rows).toEqual([{ value: String(newestSchema) }]);
    await client.end();
  });
});
