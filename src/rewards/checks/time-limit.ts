import { createContext, Script } from "node:vm";
import { DataError } from "../../schema/index.ts";

/** How long one response may keep a pattern or a schema of the user's busy, in milliseconds of processor time. */
const limitMs = 250;
/** On a busy machine the clock runs ahead of that: it is tried again with so many times the clock, twice at most. */
const patienceForOthers = 8;
/** After so many responses that took longer, it is not tried any more. */
const patience = 3;

const context = createContext({ work: undefined as (() => unknown) | undefined });
const call = new Script("work()");

/** What a user wrote and a machine runs: a pattern, a schema. It is known how often it took too long. */
export interface Tried {
  readonly what: string;
  overruns: number;
}

/**
 * Does `work`, and breaks it off after the limit, in the midst of a regular expression too. What took too long three
 * times is not tried again by this process.
 *
 * @throws DataError where it takes too long, and for data nested too deep to be walked.
 */
export function withinLimit<Result>(tried: Tried, work: () => Result): Result {
  if (tried.overruns >= patience)
    throw new DataError(
      `${tried.what} took longer than ${limitMs} ms on ${patience} responses, and is not tried any more`,
    );
  context.work = work;
  try {
    return limited(limitMs);
  } catch (error) {
    if (error instanceof RangeError)
      throw new DataError(`${tried.what}: the response is nested too deep`, { cause: error });
    if (!isTimeout(error)) throw error;
    tried.overruns += 1;
    throw new DataError(`${tried.what} took longer than ${limitMs} ms on this response`);
  } finally {
    context.work = undefined;
  }
}

/** Runs the work of the context until it has used its processor time; the whole process's stands for it, which is no less. */
function limited<Result>(clockMs: number): Result {
  const before = process.cpuUsage();
  try {
    return call.runInContext(context, { timeout: clockMs }) as Result;
  } catch (error) {
    const { user, system } = process.cpuUsage(before);
    const isStarved = isTimeout(error) && (user + system) / 1000 < limitMs;
    if (!isStarved || clockMs >= limitMs * patienceForOthers ** 2) throw error;
  }
  return limited(clockMs * patienceForOthers);
}

// The error comes from the other context, where it is no Error of this one.
const isTimeout = (error: unknown): boolean =>
  (error as { code?: unknown } | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT";

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
