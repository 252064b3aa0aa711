import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { grouped, inParts } from "./streams.ts";

async function* given(events: readonly (number | "pause" | Error)[], ended: { by?: string } = {}) {
  try {
    for (const event of events) {
      if (event instanceof Error) throw event;
      if (event === "pause") await sleep(200);
      else yield event;
    }
  } finally {
    ended.by = "return";
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test("parts have the size asked for, and nothing is left behind", async () => {
  expect(await collect(inParts(given([1, 2, 3, 4, 5]), 2))).toEqual([[1, 2], [3, 4], [5]]);
  expect(await collect(inParts(given([]), 2))).toEqual([]);
});

test("a group goes on when it is full, when its time is over, and at the end", async () => {
  expect(await collect(grouped(given([1, 2, 3, "pause", 4, "pause"]), 2, 20))).toEqual([[1, 2], [3], [4]]);
  expect(await collect(grouped(given([]), 2, 20))).toEqual([]);
});

test("what came before a failure is handed on, then the failure is thrown", async () => {
  const seen: number[][] = [];
  const reading = (async () => {
    for await (const group of grouped(given([1, 2, 3, new Error("broken")]), 2, 1000)) {
      seen.push(group);
      // As long as a commit: the failure comes meanwhile.
      await sleep(5);
    }
  })();
  await expect(reading).rejects.toThrow("broken");
  expect(seen).toEqual([[1, 2], [3]]);
});

test("who stops reading stops the items", async () => {
  const ended: { by?: string } = {};
  for await (const _ of grouped(given([1, 2, 3, 4], ended), 1, 1000)) break;
  expect(ended.by).toBe("return");
});
