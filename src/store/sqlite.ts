import { pathToFileURL } from "node:url";
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from "kysely";
import Driver from "libsql";
import { LedgerError } from "../schema/index.ts";
import { explainSqlite, sqliteCode } from "./errors.ts";
import type { Tables } from "./tables.ts";

/** One query layer for every database behind it: only this file knows that it is SQLite. */
export type Database = Kysely<Tables>;

export interface SqliteOptions {
  readonly readOnly?: boolean;
  /** Nobody writes the file while it is open. */
  readonly unchanging?: boolean;
  /** Largest size in pages of 4096 bytes: a write beyond it fails as on a full disk. */
  readonly maxPages?: number;
}

const cachedStatements = 64;
const unstorable = /\0|\p{Surrogate}/u;

/**
 * Opens `file` with SQLite: write-ahead log, and every commit on the disk before it is acknowledged.
 * Throws LedgerError when the file can't be opened or is no database.
 */
export function openSqlite(file: string, options: SqliteOptions = {}): Database {
  const driver = attempt(file, () => {
    const how = options.unchanging ? "?mode=ro&immutable=1" : "?mode=ro";
    const opened = options.readOnly ? new Driver(pathToFileURL(file).href + how) : new Driver(file);
    opened.exec("PRAGMA busy_timeout = 5000");
    if (options.readOnly) {
      opened.exec("PRAGMA query_only = ON");
    } else {
      opened.exec("PRAGMA journal_mode = WAL");
      // FULL in place of NORMAL: one fsync for each batch, so that paid answers also survive a power cut.
      opened.exec("PRAGMA synchronous = FULL");
      // 64 MiB: content keys arrive in random order, and a small cache would fetch an index page for each.
      opened.exec("PRAGMA cache_size = -65536");
    }
    if (options.maxPages !== undefined) opened.exec(`PRAGMA max_page_count = ${options.maxPages}`);
    return opened;
  });
  return new Kysely<Tables>({ dialect: new SqliteDialect({ database: adapt(driver, file, options) }) });
}

function attempt<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw explainSqlite(error, file);
  }
}

/** libsql as Kysely wants it: statements are kept, parameters checked, errors explained. */
function adapt(driver: InstanceType<typeof Driver>, file: string, { readOnly }: SqliteOptions): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>();

  const prepare = (sql: string): SqliteStatement => {
    const statement = attempt(file, () => driver.prepare(sql));
    const isRollback = sql === "rollback";
    return {
      reader: statement.reader,
      all: (parameters) => attempt(file, () => statement.all(checked(parameters, file))),
      run: (parameters) => {
        // SQLite has already rolled back by itself after a full disk.
        if (isRollback && !driver.inTransaction) return { changes: 0, lastInsertRowid: 0 };
        return attempt(file, () => statement.run(checked(parameters, file)));
      },
      iterate: () => {
        throw new Error("the ledger reads in pages: an open cursor would keep every writer waiting");
      },
    };
  };

  return {
    prepare: (sql) => {
      const known = statements.get(sql) ?? prepare(sql);
      statements.delete(sql);
      statements.set(sql, known);
      if (statements.size > cachedStatements) statements.delete(statements.keys().next().value!);
      return known;
    },
    close: () => {
      statements.clear();
      // libsql lets go of the file only when its statements are collected: the log is emptied now, not then.
      try {
        if (!readOnly) driver.exec("PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)");
      } catch (error) {
        // What is committed stands in the log, and stays there until the disk has room.
        if (sqliteCode(error) !== "SQLITE_FULL") throw explainSqlite(error, file);
      } finally {
        driver.close();
      }
    },
  };
}

/**
 * libsql ends the process on a boolean, cuts a text at NUL, and turns NaN into NULL and half a surrogate pair into U+FFFD.
 * Free text is therefore stored as JSON; whatever else can't be stored as it is, is refused here.
 */
function checked(parameters: readonly unknown[], file: string): unknown[] {
  for (const value of parameters) {
    if (value === null) continue;
    if (typeof value === "number" && Number.isFinite(value)) continue;
    if (typeof value === "string") {
      if (!unstorable.test(value)) continue;
      throw new LedgerError(`${JSON.stringify(value.slice(0, 80))} holds a NUL or half a surrogate pair`, {
        file,
        hint: "Ids and names must be well-formed text; correct the prompt's id or the source's name.",
      });
    }
    throw new LedgerError(`${String(value)} can't be stored`, {
      file,
      hint: "A score or log-probability must be a finite number; look for a reward or model that gives NaN.",
    });
  }
  return parameters as unknown[];
}
