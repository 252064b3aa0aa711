import { currentTime, persistently } from "./engine.ts";
import type { Json } from "./results.ts";
import type { Database, StageState, Tables } from "./tables.ts";

export type StageCounts = { readonly [field: string]: Json };

export interface StageRecord {
  readonly name: string;
  /** Digest of what the stage depends on: a finished stage with the same inputs is not done again. */
  readonly inputs: string;
  readonly state: StageState;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt?: Date;
  /** Seconds worked in all attempts with these inputs; one that was killed counts up to its last progress. */
  readonly seconds: number;
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  /** Items a second in the present attempt, up to its last progress; undefined before there is any. */
  readonly rate?: number;
  /** Seconds to go at that rate, while the stage runs. */
  readonly secondsLeft?: number;
  readonly counts: StageCounts;
}

export interface StageReader {
  get(name: string): Promise<StageRecord | undefined>;
  /** In the order in which they were first started. */
  list(): Promise<StageRecord[]>;
  isDone(name: string, inputs: string): Promise<boolean>;
}

export interface StageStore extends StageReader {
  /** Begins or continues a stage; `done` of `total` items were there already. Other inputs start its clock anew. */
  start(name: string, inputs: string, progress: { readonly total: number; readonly done: number }): Promise<void>;
  progress(
    name: string,
    progress: { readonly done: number; readonly total?: number; readonly failed?: number },
  ): Promise<void>;
  finish(name: string, counts: StageCounts): Promise<void>;
  fail(name: string, counts: StageCounts): Promise<void>;
  /** Takes the stages for such as have not begun. */
  forget(names: readonly string[]): Promise<void>;
}

export function stageStore(db: Database, now: () => number | Promise<number> = () => currentTime(db)): StageStore {
  const read = (name: string) => db.selectFrom("stages").selectAll().where("name", "=", name).executeTakeFirst();

  const change = (name: string, values: Partial<StageRow>) =>
    persistently(() => db.updateTable("stages").set(values).where("name", "=", name).execute());

  const end = async (name: string, state: StageState, counts: StageCounts) => {
    const row = await persistently(() => read(name));
    if (row === undefined) throw new Error(`the stage ${name} was not started`);
    const time = await persistently(async () => now());
    await change(name, {
      state,
      updated_at: time,
      finished_at: time,
      seconds: row.seconds + (time - row.started_at) / 1000,
      counts_json: JSON.stringify(counts),
    });
  };

  return {
    async get(name) {
      const row = await read(name);
      return row === undefined ? undefined : toRecord(row);
    },
    async list() {
      const rows = await db.selectFrom("stages").selectAll().orderBy("first_started_at").orderBy("name").execute();
      return rows.map(toRecord);
    },
    async isDone(name, inputs) {
      const row = await read(name);
      return row?.state === "done" && row.inputs === inputs;
    },
    async start(name, inputs, { total, done }) {
      const before = await persistently(() => read(name));
      const time = await persistently(async () => now());
      const again = before !== undefined && before.inputs === inputs;
      const killed = again && before.state === "running" ? (before.updated_at - before.started_at) / 1000 : 0;
      const row = {
        inputs,
        state: "running" as const,
        started_at: time,
        updated_at: time,
        finished_at: null,
        seconds: again ? before.seconds + killed : 0,
        total,
        done,
        done_before: done,
        failed: 0,
        counts_json: "{}",
      };
      await persistently(() =>
        db
          .insertInto("stages")
          .values({ name, first_started_at: time, ...row })
          .onConflict((conflict) => conflict.column("name").doUpdateSet(row))
          .execute(),
      );
    },
    async progress(name, { done, total, failed }) {
      await change(name, {
        done,
        updated_at: await persistently(async () => now()),
        ...(total === undefined ? {} : { total }),
        ...(failed === undefined ? {} : { failed }),
      });
    },
    finish: (name, counts) => end(name, "done", counts),
    fail: (name, counts) => end(name, "failed", counts),
    async forget(names) {
      if (names.length > 0) await persistently(() => db.deleteFrom("stages").where("name", "in", names).execute());
    },
  };
}

type StageRow = Tables["stages"];

function toRecord(row: StageRow): StageRecord {
  const worked = (row.updated_at - row.started_at) / 1000;
  const made = row.done - row.done_before;
  const running = row.state === "running";
  const rate = worked > 0 && made > 0 ? made / worked : undefined;
  return {
    name: row.name,
    inputs: row.inputs,
    state: row.state,
    startedAt: new Date(row.started_at),
    updatedAt: new Date(row.updated_at),
    ...(row.finished_at === null ? {} : { finishedAt: new Date(row.finished_at) }),
    seconds: row.seconds + (running ? worked : 0),
    total: row.total,
    done: row.done,
    failed: row.failed,
    ...(rate === undefined ? {} : { rate }),
    ...(rate !== undefined && running ? { secondsLeft: Math.max(0, row.total - row.done) / rate } : {}),
    counts: JSON.parse(row.counts_json) as StageCounts,
  };
}
