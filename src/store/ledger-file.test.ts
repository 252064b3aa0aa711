import { chmodSync, closeSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LedgerError } from "../schema/index.ts";
import { type Ledger, openLedger, readLedger } from "./index.ts";
import { migrate, migrations, schemaVersion } from "./migrations.ts";
import { openSqlite } from "./sqlite.ts";
import { answer, draw, prompt } from "./testing/rows.ts";
import { discard, scratchLedger } from "./testing/scratch.ts";

let folder: string;
let ledger: Ledger;
beforeEach(async () => {
  ledger = await scratchLedger();
  folder = ledger.folder;
});
afterEach(() => discard(ledger));

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

  test("versions count up without a gap", () => {
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
  });

  test("a reader takes no other file for a ledger", async () => {
    await ledger.meta.set("schema_version", "0");
    await ledger.close();
    await expect(readLedger(folder)).rejects.toThrow(/not a ledger/);
    const db = openSqlite(join(folder, "run.db"));
    await db.updateTable("meta").set({ value: "-1" }).where("name", "=", "schema_version").execute();
    await db.destroy();
    await expect(readLedger(folder)).rejects.toThrow(/not a ledger/);
  });
});
