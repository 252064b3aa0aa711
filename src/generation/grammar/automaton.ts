import { RequestError } from "../../schema/index.ts";
import type { Expression, Grammar } from "./expression.ts";
import { utf8Ranges } from "./utf8.ts";

/** One state of a rule's automaton. */
interface State {
  /** First byte, last byte, next state; three numbers each. */
  readonly bytes: number[];
  /** Reached without a byte. */
  readonly free: number[];
  /** Another rule's first state, and where to go on after it. */
  readonly calls: (readonly [start: number, then: number])[];
  /** The rule ends here. */
  ends: boolean;
}

/** A state with those to return to. */
interface Stack {
  readonly id: number;
  readonly state: number;
  readonly below: Stack | undefined;
  readonly depth: number;
}

/** Where a text stands in a grammar: all ways to read it so far. */
export interface Position {
  readonly id: number;
  /** Whether the text may end here. */
  readonly accepts: boolean;
  /** Stacks that can read a byte. */
  readonly stacks: readonly Stack[];
  /** What was found by byte. */
  readonly next: (Position | null | undefined)[];
}

const mostStates = 200_000;
const mostDepth = 2_000;

/** An automaton with a stack over the bytes of UTF-8, made deterministic as far as it is walked. */
export interface Automaton {
  readonly start: Position;
  /** Where the byte leads; null where no text of the grammar goes on so. */
  step(position: Position, byte: number): Position | null;
}

/** @throws RequestError for a grammar that is too large or calls itself without reading anything */
export function compileGrammar({ rules, start }: Grammar): Automaton {
  const states: State[] = [];
  const starts = new Map<string, number>();
  const waiting: (readonly [name: string, state: number])[] = [];
  const first = fragmentOf(start);
  for (let made = waiting.pop(); made !== undefined; made = waiting.pop()) {
    const [name, state] = made;
    const end = build(rules.get(name)!, state);
    states[end]!.ends = true;
  }
  const stacks = new Map<string, Stack>();
  const positions = new Map<string, Position>();
  return { start: positionOf([stackOf(first, undefined)]), step };

  function newState(): number {
    if (states.length >= mostStates)
      throw new RequestError("the pattern or schema is too large", { hint: "Ask for shorter repetitions." });
    states.push({ bytes: [], free: [], calls: [], ends: false });
    return states.length - 1;
  }

  function fragmentOf(expression: Expression): number {
    const state = newState();
    states[build(expression, state)]!.ends = true;
    return state;
  }

  /** Adds the expression after a state; gives the state that it ends in. */
  function build(expression: Expression, from: number): number {
    switch (expression.kind) {
      case "chars": {
        const end = newState();
        for (const range of expression.ranges)
          for (const path of utf8Ranges(range)) {
            let at = from;
            for (const [k, [low, high]] of path.entries()) {
              const to = k === path.length - 1 ? end : newState();
              states[at]!.bytes.push(low, high, to);
              at = to;
            }
          }
        return end;
      }
      case "sequence":
        return expression.parts.reduce((at, part) => build(part, at), from);
      case "choice": {
        const end = newState();
        for (const option of expression.options) {
          const begin = newState();
          states[from]!.free.push(begin);
          states[build(option, begin)]!.free.push(end);
        }
        return end;
      }
      case "repeat": {
        // However often nothing is repeated, it is nothing.
        if (isNothing(expression.part)) return from;
        let at = from;
        for (let k = 0; k < expression.least; k++) at = build(expression.part, at);
        const end = newState();
        if (expression.most === Number.POSITIVE_INFINITY) {
          const again = newState();
          states[at]!.free.push(again);
          states[build(expression.part, again)]!.free.push(again);
          states[again]!.free.push(end);
          return end;
        }
        for (let k = expression.least; k < expression.most; k++) {
          states[at]!.free.push(end);
          at = build(expression.part, at);
        }
        states[at]!.free.push(end);
        return end;
      }
      case "rule": {
        let called = starts.get(expression.name);
        if (called === undefined) {
          called = newState();
          starts.set(expression.name, called);
          waiting.push([expression.name, called]);
        }
        const then = newState();
        states[from]!.calls.push([called, then]);
        return then;
      }
    }
  }

  function stackOf(state: number, below: Stack | undefined): Stack {
    const key = `${state}:${below?.id ?? ""}`;
    let found = stacks.get(key);
    if (found === undefined) {
      const depth = (below?.depth ?? 0) + 1;
      if (depth > mostDepth)
        throw new RequestError(`the text is nested ${mostDepth} deep, or the schema refers to itself without end`);
      found = { id: stacks.size, state, below, depth };
      stacks.set(key, found);
    }
    return found;
  }

  /** The position of these stacks and of all that are reached from them without a byte. */
  function positionOf(begun: readonly Stack[]): Position {
    const seen = new Set<Stack>();
    const open = [...begun];
    let accepts = false;
    for (let stack = open.pop(); stack !== undefined; stack = open.pop()) {
      if (seen.has(stack)) continue;
      seen.add(stack);
      const { free, calls, ends } = states[stack.state]!;
      for (const state of free) open.push(stackOf(state, stack.below));
      for (const [called, then] of calls) open.push(stackOf(called, stackOf(then, stack.below)));
      if (!ends) continue;
      if (stack.below === undefined) accepts = true;
      else open.push(stack.below);
    }
    const reading = [...seen].filter(({ state }) => states[state]!.bytes.length > 0).sort((a, b) => a.id - b.id);
    const key = `${accepts}:${reading.map(({ id }) => id).join()}`;
    let found = positions.get(key);
    if (found === undefined) {
      found = { id: positions.size, accepts, stacks: reading, next: [] };
      positions.set(key, found);
    }
    return found;
  }

  function step(position: Position, byte: number): Position | null {
    const known = position.next[byte];
    if (known !== undefined) return known;
    const reached: Stack[] = [];
    for (const { state, below } of position.stacks) {
      const { bytes } = states[state]!;
      for (let k = 0; k < bytes.length; k += 3)
        if (bytes[k]! <= byte && byte <= bytes[k + 1]!) reached.push(stackOf(bytes[k + 2]!, below));
    }
    const found = reached.length === 0 ? null : positionOf(reached);
    position.next[byte] = found;
    return found;
  }
}

const isNothing = (expression: Expression): boolean =>
  expression.kind === "repeat"
    ? isNothing(expression.part)
    : expression.kind === "sequence" && expression.parts.every(isNothing);
