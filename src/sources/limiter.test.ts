import { expect, test } from "vitest";
import { limiter } from "./limiter.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("so many at once, in order; who leaves the queue takes no place", async () => {
  const enter = limiter(2);
  const never = new AbortController().signal;
  const gone = new AbortController();
  const order: number[] = [];
  const places = [0, 1, 2, 3, 4].map(async (i) => {
    const leave = await enter(i === 2 ? gone.signal : never);
    order.push(i);
    return leave;
  });
  const refused = places[2]!.catch((error: unknown) => error);
  await turn();
  expect(order).toEqual([0, 1]);
  gone.abort(new Error("gone"));
  expect(await refused).toEqual(new Error("gone"));
  const leave = await places[0]!;
  leave();
  leave();
  await turn();
  expect(order).toEqual([0, 1, 3]);
  (await places[1]!)();
  await turn();
  expect(order).toEqual([0, 1, 3, 4]);
});

test("an aborted signal is refused at the door", async () => {
  await expect(limiter(1)(AbortSignal.abort(new Error("late")))).rejects.toThrow("late");
});
