import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { microseconds, type ProfiledCall, startProfile, stopProfile } from "../torch/index.ts";

/** Steps that are recorded: enough to see what repeats, few enough for a browser. */
const recorded = 2;

export interface StepProfiler {
  /** A step of this process begins. */
  begin(): void;
  /** It ended. */
  end(): void;
  /** Ends a recording that goes on still. */
  close(): void;
}

/**
 * Records two optimiser steps, the first excepted where there are more: it is the one that meets memory for the first time. Writes a
 * Chrome trace (chrome://tracing, Perfetto) into `file`, and gives a table of where the time went to `tell`, line by line.
 */
export function stepProfiler(file: string, steps: number, tell: (line: string) => void): StepProfiler {
  const first = steps > 1 ? 1 : 0;
  const last = Math.min(steps, first + recorded) - 1;
  let step = 0;
  let running = false;
  let began = 0;
  const whole: ProfiledCall[] = [];
  const close = () => {
    if (!running) return;
    running = false;
    const calls = [...whole, ...stopProfile()].sort((a, b) => a.start - b.start || b.end - a.end);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, chromeTrace(calls));
    for (const line of profileTable(calls)) tell(line);
  };
  return {
    begin() {
      if (step === first) {
        running = true;
        startProfile();
      }
      began = microseconds();
    },
    end() {
      if (running) whole.push({ name: "step", shapes: "", start: began, end: microseconds() });
      if (step === last) close();
      step++;
    },
    close,
  };
}

/** The calls in Chrome's format of trace events. */
export function chromeTrace(calls: readonly ProfiledCall[]): string {
  const zero = calls[0]?.start ?? 0;
  const events = calls.map(({ name, shapes, start, end }) => ({
    name,
    cat: shapes === "" ? "span" : "operator",
    ph: "X",
    ts: start - zero,
    dur: end - start,
    pid: 1,
    tid: 1,
    ...(shapes === "" ? {} : { args: { shapes } }),
  }));
  return JSON.stringify({ displayTimeUnit: "ms", traceEvents: events });
}

export interface ProfileLine {
  readonly name: string;
  readonly calls: number;
  /** Milliseconds in it, without what it called. */
  readonly own: number;
}

/** Time by name, the most first: of each call what its own calls did not take. */
export function ownTimes(calls: readonly ProfiledCall[]): ProfileLine[] {
  const lines = new Map<string, { calls: number; own: number }>();
  const open: { readonly call: ProfiledCall; inside: number }[] = [];
  const finish = () => {
    const { call, inside } = open.pop()!;
    const line = lines.get(call.name) ?? { calls: 0, own: 0 };
    line.calls += 1;
    line.own += (call.end - call.start - inside) / 1e3;
    lines.set(call.name, line);
    const around = open.at(-1);
    if (around !== undefined) around.inside += call.end - call.start;
  };
  for (const call of calls) {
    while (open.length > 0 && open.at(-1)!.call.end <= call.start) finish();
    open.push({ call, inside: 0 });
  }
  while (open.length > 0) finish();
  return [...lines].map(([name, line]) => ({ name, ...line })).sort((a, b) => b.own - a.own);
}

/** The lines that matter, with their shares. Under spans stands what no operator took: JavaScript, and the engine itself. */
export function profileTable(calls: readonly ProfiledCall[]): string[] {
  const lines = ownTimes(calls);
  const total = lines.reduce((sum, { own }) => sum + own, 0);
  const shown = lines.filter(({ own }) => own >= total / 200);
  const rest = lines.slice(shown.length);
  const all = [
    ...shown,
    ...(rest.length === 0
      ? []
      : [
          {
            name: `${rest.length} others`,
            calls: rest.reduce((sum, line) => sum + line.calls, 0),
            own: rest.reduce((sum, line) => sum + line.own, 0),
          },
        ]),
  ];
  const wide = Math.max(...all.map(({ name }) => name.length), 4);
  return [
    `${"where".padEnd(wide)}  ${"calls".padStart(7)}  ${"ms".padStart(9)}  share`,
    ...all.map(
      ({ name, calls: count, own }) =>
        `${name.padEnd(wide)}  ${String(count).padStart(7)}  ${own.toFixed(1).padStart(9)}  ${((100 * own) / total).toFixed(1).padStart(4)}%`,
    ),
  ];
}
