import { native } from "./native.ts";

/** A call of an operator or kernel, or a stretch of time that `span` names. */
export interface ProfiledCall {
  readonly name: string;
  /** Shapes of the tensors that it was given; empty for a stretch of time. */
  readonly shapes: string;
  /** Microseconds of the steady clock. */
  readonly start: number;
  readonly end: number;
}

let spans: ProfiledCall[] | undefined;

/** Now, on the steady clock. */
export const microseconds = () => Number(process.hrtime.bigint()) / 1e3;

/** Runs `body`; while a profile is recorded, it stands there under this name. */
export function span<T>(name: string, body: () => T): T {
  if (spans === undefined) return body();
  const start = microseconds();
  try {
    return body();
  } finally {
    spans?.push({ name, shapes: "", start, end: microseconds() });
  }
}

/** From now on every call of an operator on this thread is recorded; costs some microseconds each. */
export function startProfile(): void {
  spans = [];
  native().startProfile();
}

/** Ends the recording. Calls stand in the order of their beginnings, a call before those that it made. */
export function stopProfile(): ProfiledCall[] {
  const flat = native().stopProfile();
  const calls = [...(spans ?? [])];
  spans = undefined;
  for (let k = 0; k < flat.length; k += 4)
    calls.push({
      name: flat[k] as string,
      shapes: flat[k + 1] as string,
      start: flat[k + 2] as number,
      end: flat[k + 3] as number,
    });
  return calls.sort((a, b) => a.start - b.start || b.end - a.end);
}
