import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, LedgerError, type SampleOutcome, type Sampling } from "../schema/index.ts";
import { type Draw, type Ledger, openLedger, readLedger, responseKey, type StoredPrompt } from "./index.ts";
import { migrate, migrations, schemaVersion } from "./migrations.ts";
import { openSqlite } from "./sqlite.ts";

const sampling: Sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 64, stop: [], seed: 42 };

const prompt = (id: string, split: StoredPrompt["split"] = "wrpo"): StoredPrompt => ({
  id,
  split,
  messages: [{ role: "user", content: `Say ${id}` }],
  checks: [],
});

const draw = (source: string, over: Partial<Draw> = {}): Draw => ({
  source,
  identity: `model-of-${source}`,
  sampling,
  n: 2,
  splits: ["sft", "wrpo"],
  ...over,
});

const answer = (promptId: string, index: number, text = `${promptId}/${index}`): SampleOutcome => ({
  promptId,
  index,
  text,
  finish: "stop",
  promptTokens: 3,
  responseTokens: 4,
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

let folder: string;
let ledger: Ledger;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "ledger-"));
  ledger = await openLedger(folder);
});

afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("responses", () => {
  test("what is missing shrinks as responses arrive, and a second writing changes nothing", async () => {
    await ledger.prompts.replace([prompt("a"), prompt("b", "sft"), prompt("held-out", "evaluation")]);
    await ledger.responses.declare("sources", [draw("m1"), draw("m2")]);
    expect(await ledger.responses.missing("sources", "m1")).toEqual([
      { promptId: "a", messages: prompt("a").messages, indices: [0, 1] },
      { promptId: "b", messages: prompt("b").messages, indices: [0, 1] },
    ]);

    expect(await ledger.responses.add("sources", "m1", [answer("a", 1), answer("b", 0), answer("b", 1)])).toBe(3);
    expect(await ledger.responses.add("sources", "m1", [answer("a", 1, "another text"), answer("a", 0)])).toBe(1);
    expect(await ledger.responses.missing("sources", "m1")).toEqual([]);
    expect((await ledger.responses.missing("sources", "m2")).length).toBe(2);

    const stored = await collect(ledger.responses.byStage("sources"));
    expect(stored.map((response) => response.text)).toEqual(["a/0", "a/1", "b/0", "b/1"]);
    expect(stored[1]).toEqual({
      ...answer("a", 1),
      key: responseKey(prompt("a").messages, "model-of-m1", sampling, 1),
      source: "m1",
    });
  });

  test("hostile texts come back as they were", async () => {
    const texts = ["", "a\0b", "half \ud800 pair", "emoji 🦊 漢字 \u2028", '"quoted" \\ \n\r\t', "x".repeat(200_000)];
    await ledger.prompts.replace([prompt("a")]);
    await ledger.responses.declare("sources", [draw("m1", { n: texts.length })]);
    await ledger.responses.add(
      "sources",
      "m1",
      texts.map((text, index) => answer("a", index, text)),
    );
    const stored = await collect(ledger.responses.byStage("sources"));
    expect(stored.map((response) => response.text)).toEqual(texts);
    const found = await ledger.responses.texts(stored.map((response) => response.key));
    expect(stored.map((response) => found.get(response.key))).toEqual(texts);
  });

  test("other sampling, another model or other messages make other responses; going back finds the old ones", async () => {
    await ledger.prompts.replace([prompt("a")]);
    await ledger.responses.declare("sources", [draw("m1")]);
    await ledger.responses.add("sources", "m1", [answer("a", 0), answer("a", 1)]);
    const missing = async () =>
      (await ledger.responses.missing("sources", "m1")).flatMap((request) => request.indices).length;

    await ledger.responses.declare("sources", [draw("m1", { sampling: { ...sampling, temperature: 1 } })]);
    expect(await missing()).toBe(2);
    expect(await collect(ledger.responses.byStage("sources"))).toEqual([]);
    await ledger.responses.declare("sources", [draw("m1", { identity: "retrained" })]);
    expect(await missing()).toBe(2);
    await ledger.responses.declare("sources", [draw("m1", { n: 3 })]);
    expect(await missing()).toBe(1);

    await ledger.prompts.replace([{ ...prompt("a"), messages: [{ role: "user", content: "changed" }] }]);
    expect(await missing()).toBe(3);
    await ledger.prompts.replace([{ ...prompt("a"), id: "renamed" }]);
    expect(await missing()).toBe(1);
    expect((await collect(ledger.responses.byStage("sources")))[0]!.promptId).toBe("renamed");
  });

  test("a failure is named until its response arrives, and the latest one counts", async () => {
    await ledger.prompts.replace([prompt("a")]);
    await ledger.responses.declare("sources", [draw("m1")]);
    await ledger.responses.add("sources", "m1", [{ promptId: "a", index: 0, failure: "429" }, answer("a", 1)]);
    await ledger.responses.add("sources", "m1", [
      { promptId: "a", index: 0, failure: "500\0" },
      { promptId: "a", index: 1, failure: "too late" },
    ]);
    expect(await ledger.responses.failures("sources")).toEqual([
      { source: "m1", promptId: "a", index: 0, failure: "500\0" },
    ]);
    expect((await ledger.responses.missing("sources", "m1"))[0]!.indices).toEqual([0]);
    expect(await ledger.drawStatus()).toEqual([
      { stage: "sources", source: "m1", total: 2, done: 1, unfinished: 0, failed: 1 },
    ]);
    await ledger.responses.add("sources", "m1", [{ ...answer("a", 0), finish: "length" } as SampleOutcome]);
    expect(await ledger.responses.failures("sources")).toEqual([]);
    expect(await ledger.drawStatus()).toEqual([
      { stage: "sources", source: "m1", total: 2, done: 2, unfinished: 1, failed: 0 },
    ]);
  });

  test("the same model under two names and in two stages is drawn once and counts for each", async () => {
    await ledger.prompts.replace([prompt("a")]);
    const same = { identity: "one model" };
    await ledger.responses.declare("sources", [draw("m1", same), draw("m2", same)]);
    await ledger.responses.declare("again", [draw("m3", same)]);
    await ledger.responses.add("sources", "m1", [answer("a", 0), answer("a", 1)]);
    expect(await ledger.responses.missing("sources", "m2")).toEqual([]);
    expect(await ledger.responses.missing("again", "m3")).toEqual([]);
    const stored = await collect(ledger.responses.byStage("sources"));
    expect(stored.map((response) => response.source)).toEqual(["m1", "m1", "m2", "m2"]);
    expect((await collect(ledger.scores.unscored("sources", "r"))).length).toBe(2);
  });

  test("thousands of prompts come page by page in their order", async () => {
    const prompts = Array.from({ length: 1200 }, (_, i) => prompt(`p${(i * 7919) % 1200}`, i % 3 ? "wrpo" : "sft"));
    await ledger.prompts.replace(prompts);
    await ledger.responses.declare("sources", [draw("m1", { n: 1 })]);
    await ledger.responses.add(
      "sources",
      "m1",
      prompts.map(({ id }) => answer(id, 0)),
    );
    const stored = await collect(ledger.responses.byStage("sources"));
    expect(stored.map((response) => response.promptId)).toEqual(prompts.map(({ id }) => id));
    expect((await ledger.prompts.list(["sft"])).length).toBe(400);
  });

  test("the same id or the same messages twice is refused, and the prompts stay as they were", async () => {
    await ledger.prompts.replace([prompt("a")]);
    await expect(ledger.prompts.replace([prompt("b"), prompt("b")])).rejects.toThrow(DataError);
    await expect(ledger.prompts.replace([prompt("b"), { ...prompt("b"), id: "c" }])).rejects.toThrow(/"b" and "c"/);
    await expect(ledger.prompts.replace([prompt("nul\0")])).rejects.toThrow(LedgerError);
    expect((await ledger.prompts.list()).map(({ id }) => id)).toEqual(["a"]);
  });
});

describe("scores", () => {
  beforeEach(async () => {
    await ledger.prompts.replace([prompt("a"), prompt("b")]);
    await ledger.responses.declare("sources", [draw("m1", { n: 1 }), draw("m2", { n: 1 })]);
    await ledger.responses.add("sources", "m1", [answer("a", 0), answer("b", 0)]);
    await ledger.responses.add("sources", "m2", [answer("a", 0, "of m2")]);
  });

  const parts = [{ name: "length", value: 1, weight: 1 }];
  const scoreAll = async (reward: string) => {
    const requests = await collect(ledger.scores.unscored("sources", reward));
    return await ledger.scores.add(
      reward,
      requests.map(({ responseKey, text }) => ({ responseKey, reward, value: text.length / 3, parts })),
    );
  };

  test("each reward scores each response once; scores stand beside their responses", async () => {
    expect(await scoreAll("r1")).toBe(3);
    expect(await scoreAll("r1")).toBe(0);
    expect(await scoreAll("r2")).toBe(3);
    const scored = await collect(ledger.scores.byPrompt("sources", "r1"));
    expect(scored.map(({ prompt: { id }, responses }) => [id, responses.map((r) => [r.source, r.value])])).toEqual([
      [
        "a",
        [
          ["m1", 1],
          ["m2", 5 / 3],
        ],
      ],
      ["b", [["m1", 1]]],
    ]);
    expect(scored[0]!.responses[0]!.parts).toEqual(parts);
    expect(await ledger.scoreStatus()).toEqual([
      { stage: "sources", reward: "r1", total: 3, done: 3, failed: 0 },
      { stage: "sources", reward: "r2", total: 3, done: 3, failed: 0 },
    ]);
  });

  test("other checks of a prompt make its responses unscored again; the old checks bring the old scores back", async () => {
    await scoreAll("r1");
    const checked = { ...prompt("a"), checks: [{ id: "length", args: { max: 10 } }] };
    await ledger.prompts.replace([checked, prompt("b")]);
    const unscored = await collect(ledger.scores.unscored("sources", "r1"));
    expect(unscored.map((request) => request.prompt)).toEqual([
      { id: "a", messages: checked.messages, checks: checked.checks },
      { id: "a", messages: checked.messages, checks: checked.checks },
    ]);
    await ledger.prompts.replace([prompt("a"), prompt("b")]);
    expect(await collect(ledger.scores.unscored("sources", "r1"))).toEqual([]);
  });

  test("a failed score is named until it succeeds; NaN is refused and nothing of its batch stays", async () => {
    const [first, second] = await collect(ledger.scores.unscored("sources", "r1"));
    await ledger.scores.add("r1", [{ responseKey: first!.responseKey, failure: "judge said nothing" }]);
    expect(await ledger.scores.failures("sources", "r1")).toEqual([
      { responseKey: first!.responseKey, failure: "judge said nothing" },
    ]);
    const score = (responseKey: string, value: number) => ({ responseKey, reward: "r1", value, parts: [] });
    await expect(
      ledger.scores.add("r1", [score(second!.responseKey, 1), score(first!.responseKey, Number.NaN)]),
    ).rejects.toThrow(LedgerError);
    expect((await collect(ledger.scores.unscored("sources", "r1"))).length).toBe(3);
    await ledger.scores.add("r1", [score(first!.responseKey, -0.25)]);
    expect(await ledger.scores.failures("sources", "r1")).toEqual([]);
    await expect(ledger.scores.add("r1", [score("unknown", 1)])).rejects.toThrow(/unknown/);
  });
});

test("selections are replaced split by split and follow a prompt that changes its split", async () => {
  await ledger.prompts.replace([prompt("a", "sft"), prompt("b"), prompt("c")]);
  await ledger.selections.replace("sft", [{ promptId: "a", sourceChosen: "k1" }]);
  const chosen = {
    promptId: "b",
    sourceChosen: "k2",
    targetChosen: "k3",
    rejected: "k4",
    sourceRejected: "k5",
    furtherSources: ["k6", "k7"],
  };
  await ledger.selections.replace("wrpo", [{ promptId: "c", leftOut: "rewards-equal" }, chosen]);
  expect(await ledger.selections.list("wrpo")).toEqual([chosen, { promptId: "c", leftOut: "rewards-equal" }]);
  await ledger.selections.replace("sft", [{ promptId: "b", sourceChosen: "k2" }]);
  expect(await ledger.selections.list("sft")).toEqual([{ promptId: "b", sourceChosen: "k2" }]);
  expect(await ledger.selections.list("wrpo")).toEqual([{ promptId: "c", leftOut: "rewards-equal" }]);
});

test("reference log-probabilities belong to model, template, prompt and response together", async () => {
  const key = { model: "m", template: "t", promptTokens: "p", response: "y" };
  const keys = [key, { ...key, model: "m2" }, { ...key, response: "z" }, { ...key, template: "t2" }];
  await ledger.referenceLogps.add([
    { ...key, logp: -12.0625, tokens: 7 },
    { ...key, model: "m2", logp: -1e-7, tokens: 1 },
  ]);
  await ledger.referenceLogps.add([{ ...key, logp: -99, tokens: 7 }]);
  expect(await ledger.referenceLogps.get(keys)).toEqual([
    { logp: -12.0625, tokens: 7 },
    { logp: -1e-7, tokens: 1 },
    undefined,
    undefined,
  ]);
});

test("judgements and evaluations are found by their content, meta by name", async () => {
  await ledger.judgements.add("judge", [{ key: "k1", value: { winner: "a" } }]);
  await ledger.judgements.add("judge", [
    { key: "k1", value: { winner: "b" } },
    { key: "k2", value: null },
  ]);
  expect(await ledger.judgements.get(["k1", "k2", "k3"])).toEqual(
    new Map<string, unknown>([
      ["k1", { winner: "a" }],
      ["k2", null],
    ]),
  );
  await ledger.evaluations.set("wrpo", "inputs", { mean: 0.5 });
  expect(await ledger.evaluations.get("wrpo", "inputs")).toEqual({ mean: 0.5 });
  expect(await ledger.evaluations.get("wrpo", "other inputs")).toBeUndefined();
  expect((await ledger.evaluations.list()).map(({ name }) => name)).toEqual(["wrpo"]);
  await ledger.meta.set("recipe", "d1");
  await ledger.meta.set("recipe", "d2");
  expect(await ledger.meta.get("recipe")).toBe("d2");
  expect(await ledger.meta.get("nothing")).toBeUndefined();
});

describe("run folder", () => {
  test("a reader sees committed rows while the writer works, and names the writer; it can't write", async () => {
    await ledger.prompts.replace([prompt("a")]);
    const reader = await readLedger(folder);
    expect((await reader.prompts.list()).length).toBe(1);
    await ledger.prompts.replace([prompt("a"), prompt("b")]);
    expect((await reader.prompts.list()).length).toBe(2);
    expect((await reader.writer())!.pid).toBe(process.pid);
    await expect((reader as Ledger).meta.set("x", "y")).rejects.toThrow(LedgerError);
    await ledger.close();
    expect(await reader.writer()).toBeUndefined();
    await reader.close();
  });

  test("a second writer is refused with the first one's pid, and may come when that one has gone", async () => {
    await expect(openLedger(folder)).rejects.toThrow(new RegExp(`process ${process.pid} `));
    await ledger.close();
    ledger = await openLedger(folder);
    expect((await ledger.writer())!.pid).toBe(process.pid);
  });

  test("a folder without a run, and one that can't be written", async () => {
    await expect(readLedger(join(folder, "nowhere"))).rejects.toThrow(/no run here/);
    const file = join(folder, "file");
    writeFileSync(file, "");
    await expect(openLedger(join(file, "run"))).rejects.toThrow(LedgerError);
    // The superuser may write anywhere but here.
    const forbidden = process.getuid?.() === 0 ? "/sys/kernel" : folder;
    await ledger.close();
    if (forbidden === folder) rmSync(join(folder, "run.lock"));
    if (forbidden === folder) chmodSync(folder, 0o500);
    await expect(openLedger(forbidden)).rejects.toThrow(/can't be opened/);
    chmodSync(folder, 0o700);
  });

  test("a file that is no database and a damaged database are told apart, and a damaged one is found", async () => {
    await ledger.prompts.replace(Array.from({ length: 2000 }, (_, i) => prompt(`p${i}`)));
    await ledger.verify();
    await ledger.close();
    const file = join(folder, "run.db");
    const handle = openSync(file, "r+");
    const pages = statSync(file).size / 4096;
    for (let page = Math.ceil(pages / 2); page < pages; page += 1) {
      writeSync(handle, Buffer.alloc(4096, 7), 0, 4096, page * 4096);
    }
    closeSync(handle);
    const damaged = await readLedger(folder);
    await expect(damaged.verify()).rejects.toThrow(/damaged/);
    await expect(damaged.prompts.list()).rejects.toThrow(LedgerError);
    await damaged.close();
    writeFileSync(file, "not a database ".repeat(1000));
    await expect(openLedger(folder)).rejects.toThrow(/not a ledger/);
  });

  test("a full disk stops a batch as a whole; what was stored stays and the run goes on when there is room", async () => {
    await ledger.prompts.replace([prompt("a")]);
    await ledger.close();
    ledger = await openLedger(folder, { maxPages: 100 });
    await ledger.responses.declare("sources", [draw("m1", { n: 100 })]);
    let acknowledged = 0;
    const fill = async () => {
      for (let index = 0; index < 100; index += 2) {
        const long = "x".repeat(20_000);
        await ledger.responses.add("sources", "m1", [answer("a", index, long), answer("a", index + 1, long)]);
        acknowledged += 2;
      }
    };
    await expect(fill()).rejects.toThrow(/disk is full/);
    expect(acknowledged).toBeGreaterThan(0);
    expect((await ledger.drawStatus())[0]!.done).toBe(acknowledged);
    await ledger.close();
    ledger = await openLedger(folder);
    await fill();
    expect((await ledger.drawStatus())[0]!.done).toBe(100);
    await ledger.verify();
  });
});

describe("schema", () => {
  test("a ledger from a newer Amalgam is refused for reading and writing, untouched", async () => {
    await ledger.meta.set("schema_version", "99");
    await ledger.close();
    await expect(openLedger(folder)).rejects.toThrow(/schema 99/);
    const error = await readLedger(folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(LedgerError);
    expect((error as LedgerError).hint).toMatch(/upgrade/);
  });

  test("steps run in order, each once, and a step that breaks leaves the version before it", async () => {
    const file = join(folder, "old.db");
    const db = openSqlite(file);
    const ran: number[] = [];
    const step = (version: number, broken = false) => ({
      version,
      async up(transaction: typeof db) {
        ran.push(version);
        await transaction.schema.createTable(`table${version}`).addColumn("x", "text").execute();
        if (broken) throw new Error("broken");
      },
    });
    await migrate(db, file, [migrations[0]!]);
    expect(await schemaVersion(db)).toBe(1);
    await expect(migrate(db, file, [migrations[0]!, step(2), step(3, true)])).rejects.toThrow("broken");
    expect(await schemaVersion(db)).toBe(2);
    await migrate(db, file, [migrations[0]!, step(2), step(3), step(4)]);
    expect(await schemaVersion(db)).toBe(4);
    expect(ran).toEqual([2, 3, 3, 4]);
    await db.destroy();
  });

  test("a ledger of the first schema is brought up to date with what it holds", async () => {
    const old = join(folder, "old");
    mkdirSync(old);
    const db = openSqlite(join(old, "run.db"));
    await migrate(db, join(old, "run.db"), [migrations[0]!]);
    const row = { messages_json: "[]", messages_key: "m", checks_json: "[]", checks_key: "c", domain: null };
    await db
      .insertInto("prompts")
      .values({ id: "a", position: 0, split: "wrpo", ...row })
      .execute();
    await sql`insert into selections (prompt_id, split, source_chosen, target_chosen, rejected)
      values ('a', 'wrpo', 'k1', 'k2', 'k3')`.execute(db);
    await db.destroy();
    const opened = await openLedger(old);
    expect(await opened.selections.list("wrpo")).toEqual([
      { promptId: "a", sourceChosen: "k1", targetChosen: "k2", rejected: "k3" },
    ]);
    await opened.close();
  });

  test("versions count up without a gap", () => {
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
  });

  test("a reader doesn't migrate, and takes no other file for a ledger", async () => {
    await ledger.meta.set("schema_version", "0");
    await ledger.close();
    await expect(readLedger(folder)).rejects.toThrow(/not a ledger/);
    const db = openSqlite(join(folder, "run.db"));
    await db.updateTable("meta").set({ value: "-1" }).where("name", "=", "schema_version").execute();
    await db.destroy();
    await expect(readLedger(folder)).rejects.toThrow(/older schema -1/);
  });
});
