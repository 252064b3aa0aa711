import type { z } from "zod";
import type { Json } from "../../store/index.ts";
import { checkInterrupted } from "../run.ts";
import { grouped } from "../streams.ts";
import type { Evaluation } from "./evaluation.ts";

/** What is asked for, each part under its content key. */
export interface Wanted<Value extends Json> {
  /** Whose values they are, for who reads the ledger. */
  readonly owner: string;
  /** What is being done, for progress. */
  readonly label: string;
  readonly unit: string;
  readonly keys: readonly string[];
  readonly schema: z.ZodType<Value>;
  /** Gives the values at these places, each as soon as it is there, and a failure where it can't be had. */
  work(missing: readonly number[], signal: AbortSignal): AsyncIterable<Outcome<Value>>;
}

export type Outcome<Value> =
  | { readonly index: number; readonly value: Value }
  | { readonly index: number; readonly failure: string };

export interface Failed {
  readonly failure: string;
}

/** Values that are stored in one commit: so many, or those that came within so many milliseconds. */
const storedTogether = { most: 64, withinMs: 200 };

/**
 * The value under each key: those that the ledger has, the others by `work`, stored as they come. What failed is not stored, and so asked
 * for again by the next call.
 *
 * @throws Interrupted on an abort, when what had come is stored.
 */
export async function remembered<Value extends Json>(
  evaluation: Evaluation,
  { owner, label, unit, keys, schema, work }: Wanted<Value>,
): Promise<(Value | Failed)[]> {
  const { ledger, listener, signal } = evaluation;
  checkInterrupted(evaluation);
  const known = await ledger.judgements.get([...new Set(keys)]);
  const found: (Value | Failed | undefined)[] = keys.map((key) => {
    const value = known.get(key);
    return value === undefined ? undefined : schema.parse(value);
  });
  const places = new Map<string, number>();
  for (const [index, key] of keys.entries()) if (found[index] === undefined && !places.has(key)) places.set(key, index);
  const missing = [...places.values()];
  if (missing.length > 0) {
    let done = 0;
    const tell = () => listener.progress({ stage: "evaluate", label, done, total: missing.length, unit });
    tell();
    const unstored = new AbortController();
    const outcomes = work(missing, AbortSignal.any([signal, unstored.signal]));
    for await (const group of grouped(outcomes, storedTogether.most, storedTogether.withinMs)) {
      const values = group.filter((outcome) => "value" in outcome);
      try {
        await evaluation.account?.save();
        await ledger.judgements.add(
          owner,
          values.map(({ index, value }) => ({ key: keys[index]!, value })),
        );
      } catch (error) {
        unstored.abort(error);
        throw error;
      }
      for (const outcome of group)
        found[outcome.index] = "value" in outcome ? outcome.value : { failure: outcome.failure };
      done += group.length;
      tell();
    }
    checkInterrupted(evaluation);
  }
  return keys.map((key, index) => found[index] ?? found[places.get(key)!] ?? { failure: "no answer came" });
}
