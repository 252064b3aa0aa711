import { setMaxListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { ApiError } from "./api-error.ts";
import { type FairQueue, fairQueue, type Place } from "./fair-queue.ts";

const never = new AbortController().signal;
setMaxListeners(0, never);
const limits = { running: 1, waiting: 100, waiting_seconds: 60 };
const job = { size: 1, promptTokens: 10 };

/** Enters one job; its place when its turn comes, and its name noted then. */
function ask(queue: FairQueue, client: string, order: string[], signal = never, tokens = 10): Promise<Place> {
  const [coming] = queue.enter(client, [{ size: 1, promptTokens: tokens }], signal);
  return coming!.then((place) => {
    order.push(client);
    return place;
  });
}

/** Serves all that wait, one after another, each with `tokens` of response. */
async function serveAll(places: readonly Promise<Place>[], tokens: number): Promise<void> {
  await Promise.all(
    places.map(async (coming) => {
      const place = await coming;
      await new Promise((resolve) => setImmediate(resolve));
      place.served(tokens);
      place.leave();
    }),
  );
}

describe("the line", () => {
  test("takes clients in turns, however much one of them asks for", async () => {
    const queue = fairQueue(limits);
    const order: string[] = [];
    const places = [
      ...Array.from({ length: 20 }, () => ask(queue, "hog", order)),
      ...Array.from({ length: 3 }, () => ask(queue, "a", order)),
      ...Array.from({ length: 3 }, () => ask(queue, "b", order)),
    ];
    await serveAll(places, 5);
    expect(order).toHaveLength(26);
    // Those of `a` and `b` are served while the hog has had no more turns than they, but for the one that came first.
    for (const client of ["a", "b"]) {
      const last = order.lastIndexOf(client);
      expect(order.slice(0, last).filter((name) => name === "hog").length).toBeLessThanOrEqual(4);
    }
    expect([queue.running, queue.waiting]).toEqual([0, 0]);
  });

  test("counts tokens, not requests: a client with long responses has fewer turns", async () => {
    const queue = fairQueue(limits);
    const order: string[] = [];
    const long = Array.from({ length: 10 }, () => ask(queue, "long", order));
    const short = Array.from({ length: 30 }, () => ask(queue, "short", order));
    // A turn of `long` is 10 + 2 * 45 = 100 tokens, one of `short` 10 + 2 * 20 = 50.
    await Promise.all([serveAll(long, 45), serveAll(short, 20)]);
    const first = order.slice(0, 15);
    expect(first.filter((name) => name === "long")).toHaveLength(5);
    expect(first.filter((name) => name === "short")).toHaveLength(10);
  });

  test("a client that was away is not ahead of those that were served meanwhile", async () => {
    const queue = fairQueue(limits);
    const order: string[] = [];
    const early = Array.from({ length: 10 }, () => ask(queue, "steady", order));
    await serveAll(early, 50);
    const blocking = await ask(queue, "steady", order);
    const later = [
      ...Array.from({ length: 4 }, () => ask(queue, "steady", order)),
      ...Array.from({ length: 4 }, () => ask(queue, "new", order)),
    ];
    order.length = 0;
    blocking.served(50);
    blocking.leave();
    await serveAll(later, 50);
    expect(order.slice(0, 6).filter((name) => name === "new").length).toBeGreaterThanOrEqual(2);
    expect(order.slice(0, 6).filter((name) => name === "steady").length).toBeGreaterThanOrEqual(2);
  });

  test("holds back what there is no room for, and lets what is too large go alone", async () => {
    const queue = fairQueue({ ...limits, running: 4 });
    const [one] = queue.enter("a", [{ size: 3, promptTokens: 1 }], never);
    const [two] = queue.enter("b", [{ size: 2, promptTokens: 1 }], never);
    const [large] = queue.enter("c", [{ size: 9, promptTokens: 1 }], never);
    const first = await one!;
    expect([queue.running, queue.waiting]).toEqual([3, 2]);
    first.leave();
    (await two!).leave();
    expect(queue.running).toBe(9);
    (await large!).leave();
    expect(queue.running).toBe(0);
  });

  test("refuses with 429 and a time to come back when it is full; the longest line gives way first", async () => {
    const queue = fairQueue({ ...limits, waiting: 4 });
    const order: string[] = [];
    const running = await ask(queue, "hog", order);
    const hog = Array.from({ length: 4 }, () => ask(queue, "hog", order));
    const refused = hog[3]!.catch((error: unknown) => error);
    expect(() => queue.enter("hog", [job], never)).toThrow(ApiError);
    const small = ask(queue, "small", order);
    const error = (await refused) as ApiError;
    expect(error.status).toBe(429);
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(queue.waiting).toBe(4);
    running.leave();
    await serveAll([...hog.slice(0, 3), small], 1);
    expect(order.indexOf("small")).toBeLessThan(3);
  });

  test("a request leaves it when its signal aborts or it has waited too long", async () => {
    const queue = fairQueue({ ...limits, waiting_seconds: 0.05 });
    const running = await ask(queue, "a", []);
    const gone = new AbortController();
    const left = ask(queue, "b", [], gone.signal).catch((error: unknown) => error);
    gone.abort(new Error("gone"));
    expect(await left).toEqual(new Error("gone"));
    expect(queue.waiting).toBe(0);
    const late = (await ask(queue, "c", []).catch((error: unknown) => error)) as ApiError;
    expect([late.status, queue.waiting]).toEqual([503, 0]);
    running.leave();
    expect(queue.running).toBe(0);
  });

  test("what stood behind one that has waited too long begins where there is room", async () => {
    const queue = fairQueue({ ...limits, running: 4, waiting_seconds: 0.05 });
    const [first] = queue.enter("a", [{ size: 3, promptTokens: 1 }], never);
    await first!;
    const [large] = queue.enter("b", [{ size: 2, promptTokens: 1 }], never);
    const late = large!.catch((error: unknown) => error);
    const [small] = queue.enter("c", [{ size: 1, promptTokens: 1 }], never);
    expect(((await late) as ApiError).status).toBe(503);
    (await small!).leave();
    expect(queue.running).toBe(3);
  });
});
