import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { type Ledger, openLedger } from "../index.ts";
import { postgresPrograms, startPostgres, type TestPostgres } from "./postgres.ts";
import { scratchLedger } from "./scratch.ts";

/** A database that holds ledgers. `.ci/run` installs PostgreSQL; where it is not, its tests are skipped. */
export interface Engine {
  readonly name: "SQLite" | "PostgreSQL";
  readonly absent: boolean;
  /** To be called in a `describe`: the server runs as long as its tests. Gives what opens an empty ledger. */
  start(): () => Promise<Ledger>;
}

/** The server of a `describe`, for as long as its tests run. */
export function postgresServer(): () => TestPostgres {
  let server: TestPostgres | undefined;
  beforeAll(async () => {
    server = await startPostgres(postgresPrograms()!);
  });
  afterAll(() => server?.stop());
  return () => server!;
}

export const engines: readonly Engine[] = [
  { name: "SQLite", absent: false, start: () => scratchLedger },
  {
    name: "PostgreSQL",
    absent: postgresPrograms() === undefined,
    start() {
      const server = postgresServer();
      return () => openLedger(mkdtempSync(join(tmpdir(), "ledger-")), { shared: server().freshLedger() });
    },
  },
];
