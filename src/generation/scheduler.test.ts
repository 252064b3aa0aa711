import { expect, test } from "vitest";
import { PagePool, pageTokens } from "./pages.ts";
import { Scheduler, type Sequence } from "./scheduler.ts";

let order = 0;
const sequence = (length: number, first = 1000 * order): Sequence => ({
  tokens: Array.from({ length }, (_, k) => first + k),
  promptLength: length,
  order: order++,
  reuses: true,
  followers: [],
  pages: [],
  chains: [],
  computed: 0,
  admitted: false,
});

/** One step; those that come to the end of their text draw a token. */
function step(scheduler: Scheduler<Sequence>): [Sequence, number][] {
  const work = scheduler.next();
  for (const item of work) {
    scheduler.computed(item);
    const { sequence } = item;
    if (sequence.computed === sequence.tokens.length) sequence.tokens.push(7);
  }
  return work.map(({ sequence, count }) => [sequence, count]);
}

test("a long prompt is computed in parts beside the tokens of those who answer already", () => {
  const scheduler = new Scheduler<Sequence>(new PagePool(100), 10);
  const [short, long] = [sequence(20), sequence(1200)];
  scheduler.add(short);
  expect(step(scheduler)).toEqual([[short, 20]]);
  scheduler.add(long);
  const steps = [step(scheduler), step(scheduler), step(scheduler), step(scheduler)];
  expect(steps).toEqual([
    [
      [short, 1],
      [long, 512],
    ],
    [
      [short, 1],
      [long, 512],
    ],
    [
      [short, 1],
      [long, 176],
    ],
    [
      [short, 1],
      [long, 1],
    ],
  ]);
});

test("a short prompt does not wait for long ones that came before it, and the first of these gets on", () => {
  const scheduler = new Scheduler<Sequence>(new PagePool(400), 10, 1000);
  const [first, second] = [sequence(3000), sequence(3000)];
  scheduler.add(first);
  expect(step(scheduler)).toEqual([[first, 1000]]);
  scheduler.add(second);
  expect(step(scheduler)).toEqual([
    [first, 500],
    [second, 500],
  ]);
  const short = sequence(30);
  scheduler.add(short);
  expect(step(scheduler)).toEqual([
    [first, 500],
    [second, 470],
    [short, 30],
  ]);
  // Beside the one that is answered now, a step has fewer tokens of prompts.
  expect(step(scheduler)).toEqual([
    [short, 1],
    [first, 256],
    [second, 256],
  ]);
});

test("no more responses go together than there are rows, followers counted", () => {
  const scheduler = new Scheduler<Sequence>(new PagePool(100), 3);
  const [first, second, third] = [sequence(10), sequence(10), sequence(10)];
  first.followers = [sequence(10)];
  second.followers = [sequence(10)];
  for (const one of [first, second, third]) scheduler.add(one);
  expect(step(scheduler)).toEqual([[first, 10]]);
  scheduler.remove(first);
  expect(step(scheduler).map(([one]) => one)).toEqual([second, third]);
});

test("who needs a page when none is left takes those of the latest, which goes on later from what is still known", () => {
  const pool = new PagePool(6);
  const scheduler = new Scheduler<Sequence>(pool, 10);
  const [early, late] = [sequence(2 * pageTokens - 3), sequence(2 * pageTokens - 2)];
  scheduler.add(early);
  scheduler.add(late);
  for (let k = 0; k < 34; k++) expect(step(scheduler)).toHaveLength(2);
  while (scheduler.preemptions === 0) step(scheduler);
  expect(scheduler.running).toEqual([early]);
  expect(scheduler.waiting).toEqual([late]);
  expect(late).toMatchObject({ pages: [], computed: 0 });
  scheduler.remove(early);
  step(scheduler);
  expect(scheduler.running).toEqual([late]);
  // Most of it was still known, but it is no prompt that another text began alike.
  expect(late.computed).toBeGreaterThan(2 * pageTokens);
  expect(scheduler.reusedTokens).toBe(0);
  scheduler.remove(late);
  expect(pool.available).toBe(6);
});

test("followers share the full pages of the prompt and have a copy of the rest; one without room waits", () => {
  const pool = new PagePool(5);
  const scheduler = new Scheduler<Sequence>(pool, 10);
  const leader = sequence(2 * pageTokens + 5, 0);
  const followers = [1, 2, 3].map(() => sequence(2 * pageTokens + 5, 0));
  leader.followers = followers;
  scheduler.add(leader);
  scheduler.computed(scheduler.next()[0]!);
  const copies = scheduler.fork(leader, followers);
  expect(copies).toEqual([
    [leader.pages[2], followers[0]!.pages[2]],
    [leader.pages[2], followers[1]!.pages[2]],
  ]);
  expect(followers[0]!.pages.slice(0, 2)).toEqual(leader.pages.slice(0, 2));
  expect(new Set([leader, followers[0]!, followers[1]!].map(({ pages }) => pages[2])).size).toBe(3);
  expect(scheduler.waiting).toEqual([followers[2]]);
  for (const one of followers.slice(0, 2)) scheduler.remove(one);
  expect(scheduler.next().map(({ sequence }) => sequence)).toContain(followers[2]);
  expect(scheduler.reusedTokens).toBe(0);
  for (const one of [leader, ...followers]) scheduler.remove(one);
  expect(pool.available).toBe(5);
});
