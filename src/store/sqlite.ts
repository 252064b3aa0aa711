import { pathToFileURL } from "node:url";
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from "kysely";
import Driver from "libsql";
import { explainSqlite, sqliteCode } from "./errors.ts";
import { checked } from "./parameters.ts";
import type { Database, Tables } from "./tables.ts";

export interface SqliteOptions {
  readonly readOnly?: boolean;
  /** Nobody writes the file while it is open. */
  readonly unchanging?: boolean;
  /** Largest size in pages of 4096 bytes: a write beyond it fails as on a full disk. */
  readonly maxPages?: number;
}

const cachedStatements = 64;

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
      all: (parameters) => attempt(file, () => statement.all(checked(parameters, { file }) as unknown[])),
      run: (parameters) => {
        // SQLite has already rolled back by itself after a full disk.
        if (isRollback && !driver.inTransaction) return { changes: 0, lastInsertRowid: 0 };
        return attempt(file, () => statement.run(checked(parameters, { file }) as unknown[]));
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
