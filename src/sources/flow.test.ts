import { describe, expect, test } from "vitest";
import { breaker } from "./breaker.ts";
import { BudgetError, openBudget } from "./budget.ts";
import { hedged } from "./hedge.ts";
import { rateLimiter } from "./rate.ts";
import { rateHeaderWaitMs } from "./rate-headers.ts";

const never = new AbortController().signal;
const nothing = { inputTokens: 0, outputTokens: 0, money: 0 };

describe("rates", () => {
  /** When each of so many calls starts, each reserved as soon as the one before has. */
  const starts = (rates: Parameters<typeof rateLimiter>[0], calls: number, tokens: number, actual = tokens) => {
    let now = 5000;
    const limiter = rateLimiter(rates, () => now);
    return Array.from({ length: calls }, () => {
      now += limiter.reserve(tokens);
      limiter.correct(actual - tokens);
      return now;
    });
  };
  const mostInAMinute = (times: readonly number[]) =>
    Math.max(...times.map((from) => times.filter((time) => time >= from && time < from + 60_000).length));

  test("no minute has more requests than a second's worth above its share", () => {
    const times = starts({ requests: 120 }, 1000, 50);
    expect(mostInAMinute(times)).toBeLessThanOrEqual(122);
    expect(times.at(-1)! - times[0]!).toBeCloseTo((1000 - 1) * 500, -3);
  });

  test("tokens count as they turn out to be, not as they were guessed", () => {
    const times = starts({ tokens: 6000 }, 500, 10, 100);
    expect(mostInAMinute(times)).toBeLessThanOrEqual(62);
    expect(mostInAMinute(times)).toBeGreaterThan(58);
  });
});

describe("headers that tell a limit", () => {
  const openAi = (remaining: number, reset: string) => ({
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": `${remaining}`,
    "x-ratelimit-reset-requests": reset,
  });
  test.each([
    ["some left", openAi(1, "1m0s"), 0],
    ["none left: until one is there again", openAi(0, "1m0s"), 1000],
    ["milliseconds", openAi(0, "120ms"), 2],
    [
      "no size told: until the reset",
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7" },
      7000,
    ],
    [
      "tokens: until those of a call are there",
      {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m40s",
      },
      10_000,
    ],
    [
      "Anthropic's moment, by the server's clock",
      {
        date: "Sat, 01 Jan 2000 00:00:00 GMT",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2000-01-01T00:00:09Z",
      },
      9000,
    ],
    ["nothing that can be read", { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon" }, 0],
    ["nothing", {}, 0],
  ])("%s", (_, headers, ms) => expect(rateHeaderWaitMs(headers, 100)).toBeCloseTo(ms, 6));
});

describe("a budget", () => {
  test("spent and set aside together never cross it; what is left over is waited for", async () => {
    const budget = openBudget({ tokens: 100 }, nothing);
    let highest = 0;
    let calls = 0;
    const call = async (): Promise<void> => {
      for (;;) {
        const reservation = await budget.reserve({ inputTokens: 10, outputTokens: 20 }, undefined, never);
        calls += 1;
        await new Promise((resolve) => setTimeout(resolve, 1));
        reservation.settle({ inputTokens: 3, outputTokens: 4 });
        reservation.settle();
        const { inputTokens, outputTokens } = budget.spent();
        highest = Math.max(highest, inputTokens + outputTokens);
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: 5 }, call));
    for (const end of ends) expect(end).toMatchObject({ status: "rejected", reason: expect.any(BudgetError) });
    // Of 100, a call may take 30 and takes 7: it goes on up to 70 and what the last calls add.
    expect(highest).toBeLessThanOrEqual(100);
    expect(calls).toBe(Math.floor((100 - 30) / 7) + 1);
  });

  test("money by price; what nobody knows counts whole; what was spent before counts", async () => {
    const budget = openBudget({ money: 1 }, { ...nothing, money: 0.4 });
    const price = { input: 1, output: 100_000 };
    const lost = await budget.reserve({ inputTokens: 0, outputTokens: 5 }, price, never);
    lost.settle();
    expect(budget.spent().money).toBeCloseTo(0.9, 12);
    await expect(budget.reserve({ inputTokens: 0, outputTokens: 2 }, price, never)).rejects.toThrow(
      /budget is used up: 0.9000 of 1 in money/,
    );
    (await budget.reserve({ inputTokens: 0, outputTokens: 1 }, price, never)).settle({
      inputTokens: 0,
      outputTokens: 0,
    });
    expect(budget.spent().money).toBeCloseTo(0.9, 12);
  });

  test("an abort ends the wait", async () => {
    const budget = openBudget({ tokens: 10 }, nothing);
    await budget.reserve({ inputTokens: 5, outputTokens: 5 }, undefined, never);
    const stop = new AbortController();
    const waiting = budget.reserve({ inputTokens: 1, outputTokens: 1 }, undefined, stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});

describe("a breaker", () => {
  test("holds calls back after failures in a row, lets one try, then all", async () => {
    const down = breaker(2, 5);
    await down.pass(never);
    expect(down.failed()).toBeUndefined();
    down.succeeded();
    down.failed();
    expect(down.failed()).toBeGreaterThanOrEqual(0);
    let through = 0;
    const calls = Array.from({ length: 5 }, () => down.pass(never).then(() => ++through));
    await Promise.race(calls);
    expect(through).toBe(1);
    down.succeeded();
    await Promise.all(calls);
    expect(through).toBe(5);
    await down.pass(never);
  });

  test("an abort ends the wait", async () => {
    const down = breaker(1, 60_000);
    down.failed();
    const stop = new AbortController();
    const waiting = down.pass(stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    down.succeeded();
  });

  test("when nobody waits any more, no timer keeps the program from its end", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const down = breaker(1, 60_000);
    down.failed();
    const before = timers();
    const stop = new AbortController();
    const waiting = Promise.allSettled([down.pass(stop.signal), down.pass(stop.signal)]);
    expect(timers()).toBe(before + 1);
    stop.abort(new Error("enough"));
    expect(timers()).toBe(before);
    await waiting;
    // One that comes later still has its turn.
    const quick = breaker(1, 5);
    quick.failed();
    const left = quick.pass(stop.signal).catch(() => {});
    await Promise.all([left, quick.pass(never)]);
  });
});

describe("a second call beside a slow one", () => {
  const after = (ms: number, value: string, stop: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => resolve(value), ms);
      stop.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(stop.reason);
      });
    });
  const poor = (value: string) => value === "poor";

  test.each<[string, [number, string][], number | undefined, { value: string; calls: number }]>([
    ["none by default", [[30, "slow"]], undefined, { value: "slow", calls: 1 }],
    ["none where the first is quick", [[1, "quick"]], 50, { value: "quick", calls: 1 }],
    [
      "the quicker one counts",
      [
        [500, "slow"],
        [1, "quick"],
      ],
      10,
      { value: "quick", calls: 2 },
    ],
    [
      "a poor answer waits for the other",
      [
        [60, "good"],
        [1, "poor"],
      ],
      10,
      { value: "good", calls: 2 },
    ],
    [
      "two poor ones are poor",
      [
        [40, "poor"],
        [1, "poor"],
      ],
      10,
      { value: "poor", calls: 2 },
    ],
  ])("%s", async (_, works, afterMs, outcome) => {
    let begun = 0;
    const work = (stop: AbortSignal) => after(...works[begun++]!, stop);
    expect(await hedged(work, poor, afterMs, never)).toEqual(outcome);
  });
});
