import { createContext, Script } from "node:vm";
import { DataError } from "../../schema/index.ts";

/** How long one response may keep a pattern or a schema of the user's busy, in milliseconds of processor time. */
const limitMs = 250;
/** After so many responses that took longer, it is not tried any more. */
const patience = 3;
/** On a busy machine the clock runs ahead of the processor's: the clock is doubled then, up to so many times the limit. */
const mostClock = 64;

const context = createContext({ work: undefined as (() => unknown) | undefined });
const call = new Script("work()");

/** What a user wrote and a machine runs: a pattern, a schema. It is known how often it took too long. */
export interface Tried {
  readonly what: string;
  overruns: number;
}

/**
 * Does `work`, and breaks it off when it has used so many milliseconds of the processor, in the midst of a regular expression too: then
 * `overrun` is thrown. Work that others kept from the processor is begun anew.
 */
export function brokenOff<Result>(limitMs: number, work: () => Result, overrun: () => Error): Result {
  context.work = work;
  try {
    for (let clockMs = limitMs; ; clockMs *= 2) {
      const before = process.cpuUsage();
      try {
        return call.runInContext(context, { timeout: clockMs }) as Result;
      } catch (error) {
        // The error comes from the other context, where it is no Error of this one.
        if ((error as { code?: unknown } | null)?.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
        // The whole process's time, which is no less than the work's.
        const { user, system } = process.cpuUsage(before);
        if ((user + system) / 1000 >= limitMs || clockMs >= limitMs * mostClock) throw overrun();
      }
    }
  } finally {
    context.work = undefined;
  }
}

/**
 * Does `work`, and breaks it off after the limit. What took too long three times is not tried again by this process.
 *
 * @throws DataError where it takes too long, and for data nested too deep to be walked.
 */
export function withinLimit<Result>(tried: Tried, work: () => Result): Result {
  if (tried.overruns >= patience)
    throw new DataError(
      `${tried.what} took longer than ${limitMs} ms on ${patience} responses, and is not tried any more`,
    );
  try {
    return brokenOff(limitMs, work, () => {
      tried.overruns += 1;
      return new DataError(`${tried.what} took longer than ${limitMs} ms on this response`);
    });
  } catch (error) {
    if (error instanceof RangeError)
      throw new DataError(`${tried.what}: the response is nested too deep`, { cause: error });
    throw error;
  }
}

/** The last values of `make`, by key. */
export function remembered<Value>(size: number, make: (key: string) => Value): (key: string) => Value {
  const values = new Map<string, Value>();
  return (key) => {
    const value = values.get(key) ?? make(key);
    values.delete(key);
    values.set(key, value);
    if (values.size > size) values.delete(values.keys().next().value!);
    return value;
  };
}
