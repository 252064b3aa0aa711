import { chunks } from "./chunks.ts";
import { now, persistently, transact } from "./engine.ts";
import type { Database } from "./tables.ts";

/** Any value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [field: string]: Json };

export interface JudgementReader {
  /** The judgements that the ledger has of these content keys. */
  get(keys: readonly string[]): Promise<Map<string, Json>>;
}

/** Comparisons and other verdicts that are paid for, each under the content key of what was judged, by whom and how. */
export interface JudgementStore extends JudgementReader {
  /** Stores a batch in one durable commit; the first verdict under a key stays. */
  add(judge: string, judgements: readonly { readonly key: string; readonly value: Json }[]): Promise<void>;
}

export function judgementStore(db: Database): JudgementStore {
  return {
    async get(keys) {
      const found = new Map<string, Json>();
      for (const some of chunks(keys)) {
        const rows = await db.selectFrom("judgements").selectAll().where("key", "in", some).execute();
        for (const row of rows) found.set(row.key, JSON.parse(row.value_json) as Json);
      }
      return found;
    },
    async add(judge, judgements) {
      await transact(db, async (transaction) => {
        for (const some of chunks(judgements)) {
          await transaction
            .insertInto("judgements")
            .values(
              some.map(({ key, value }) => ({ key, judge, value_json: JSON.stringify(value), created_at: now(db) })),
            )
            .onConflict((conflict) => conflict.doNothing())
            .execute();
        }
      });
    },
  };
}

export interface EvaluationResult {
  readonly name: string;
  /** Digest of everything that the result depends on. */
  readonly inputs: string;
  readonly result: Json;
  readonly createdAt: Date;
}

export interface EvaluationReader {
  /** The result of an evaluation with exactly these inputs, if it was made. */
  get(name: string, inputs: string): Promise<Json | undefined>;
  /** Every result, the oldest first. */
  list(): Promise<EvaluationResult[]>;
}

export interface EvaluationStore extends EvaluationReader {
  set(name: string, inputs: string, result: Json): Promise<void>;
}

export function evaluationStore(db: Database): EvaluationStore {
  return {
    async get(name, inputs) {
      const row = await db
        .selectFrom("evaluations")
        .select("result_json")
        .where("name", "=", name)
        .where("inputs", "=", inputs)
        .executeTakeFirst();
      return row === undefined ? undefined : (JSON.parse(row.result_json) as Json);
    },
    async list() {
      const rows = await db.selectFrom("evaluations").selectAll().orderBy("created_at").orderBy("name").execute();
      return rows.map(({ name, inputs, result_json, created_at }) => ({
        name,
        inputs,
        result: JSON.parse(result_json) as Json,
        createdAt: new Date(created_at),
      }));
    },
    async set(name, inputs, result) {
      const latest = { result_json: JSON.stringify(result), created_at: now(db) };
      await persistently(() =>
        db
          .insertInto("evaluations")
          .values({ name, inputs, ...latest })
          .onConflict((conflict) => conflict.columns(["name", "inputs"]).doUpdateSet(latest))
          .execute(),
      );
    },
  };
}
