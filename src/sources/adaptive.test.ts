import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { adaptiveLimiter, type CallOutcome } from "./adaptive.ts";

const never = new AbortController().signal;

/** A server in a time of its own: when a call that comes now, as one of so many, ends, and how. */
type Simulated = (now: number, open: number) => { readonly at: number; readonly outcome: CallOutcome };

/** Makes so many calls through a limiter; how many ended well in how much time, and the limits along the way. */
async function simulate(most: number, calls: number, server: Simulated) {
  let now = 0;
  const events: { at: number; happen: () => void }[] = [];
  const limiter = adaptiveLimiter(most, () => now);
  const limits: number[] = [];
  let begun = 0;
  let open = 0;
  let mostOpen = 0;
  let done = 0;
  let pressed = 0;
  const worker = async () => {
    while (begun < calls) {
      begun += 1;
      const place = await limiter.enter(never);
      open += 1;
      mostOpen = Math.max(mostOpen, open);
      const { at, outcome } = server(now, open);
      await new Promise<void>((happen) => events.push({ at, happen }));
      open -= 1;
      place.leave(outcome);
      limits.push(limiter.limit());
      if (outcome.kind === "done") done += 1;
      else pressed += 1;
    }
  };
  const workers = Promise.all(Array.from({ length: most }, worker));
  for (;;) {
    await turn();
    if (events.length === 0) break;
    const next = events.reduce((first, event) => (event.at < first.at ? event : first));
    events.splice(events.indexOf(next), 1);
    now = next.at;
    next.happen();
  }
  await workers;
  return { done, pressed, mostOpen, limits, throughput: done / now };
}

/** So many calls at a time, the others wait; each takes about a second. */
const slots = (count: number): Simulated => {
  const free = Array<number>(count).fill(0);
  let drawn = 0;
  return (now) => {
    free.sort((a, b) => a - b);
    drawn = (drawn * 16807 + 11) % 2147483647;
    const at = Math.max(now, free[0]!) + 800 + 400 * (drawn / 2147483647);
    free[0] = at;
    return { at, outcome: { kind: "done", ms: at - now, tokens: 100 } };
  };
};

test.each([16, 48, 100])(
  "a server with %i slots: they are filled, and not many more calls wait there",
  async (count) => {
    const { limits, throughput, done } = await simulate(256, 4000, slots(count));
    expect(done).toBe(4000);
    const late = limits.slice(1500);
    expect(Math.max(...late)).toBeLessThanOrEqual(2.3 * count);
    expect(throughput).toBeGreaterThan(0.85 * (count / 1000));
  },
);

test("a server that bears all of them: the limit rises to the recipe's", async () => {
  const { limits, mostOpen } = await simulate(64, 1500, (now) => ({
    at: now + 1000,
    outcome: { kind: "done", ms: 1000, tokens: 100 },
  }));
  expect(limits.at(-1)).toBe(64);
  expect(mostOpen).toBe(64);
});

test("a server that refuses more than 20: few are refused, and the limit stays about there", async () => {
  const { limits, pressed } = await simulate(256, 4000, (now, open) =>
    open > 20
      ? { at: now + 5, outcome: { kind: "pressed" } }
      : { at: now + 1000, outcome: { kind: "done", ms: 1000, tokens: 100 } },
  );
  const late = limits.slice(1000);
  expect(late.reduce((sum, limit) => sum + limit, 0) / late.length).toBeGreaterThan(12);
  expect(late.reduce((sum, limit) => sum + limit, 0) / late.length).toBeLessThan(22);
  expect(pressed).toBeLessThan(0.08 * 4000);
});

test("a burst of refusals counts once, and one call is always left", async () => {
  const limiter = adaptiveLimiter(8, () => 0);
  const places = await Promise.all(Array.from({ length: 8 }, () => limiter.enter(never)));
  for (const place of places) place.leave({ kind: "pressed" });
  expect(limiter.limit()).toBe(1);
  let time = 0;
  const clocked = adaptiveLimiter(8, () => time);
  const under = await Promise.all(Array.from({ length: 8 }, () => clocked.enter(never)));
  for (const place of under) {
    time += 1;
    place.leave({ kind: "pressed" });
  }
  expect(clocked.limit()).toBe(4);
});

test("a place is freed once; who waits gets it in the order of asking; an abort leaves the queue", async () => {
  const limiter = adaptiveLimiter(1);
  const first = await limiter.enter(never);
  const stop = new AbortController();
  const order: string[] = [];
  const second = limiter.enter(never).then((place) => {
    order.push("second");
    return place;
  });
  const gone = limiter.enter(stop.signal);
  const third = limiter.enter(never).then(() => order.push("third"));
  stop.abort(new Error("enough"));
  await expect(gone).rejects.toThrow("enough");
  first.leave({ kind: "other" });
  first.leave({ kind: "other" });
  (await second).leave({ kind: "other" });
  await third;
  expect(order).toEqual(["second", "third"]);
});
