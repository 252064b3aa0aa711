import { expect, test } from "vitest";
import { emptyChain, PagePool, pageTokens } from "./pages.ts";

const full = (first: number) => Array.from({ length: pageTokens }, (_, k) => first + k);

test("a named page stays until its room is needed, is found by its tokens and those before it, and belongs to all who hold it", () => {
  const pool = new PagePool(3);
  const [a, b] = [pool.take()!, pool.take()!];
  const first = pool.name(a, emptyChain, full(0));
  const second = pool.name(b, first, full(100));
  pool.release([a, b]);
  expect(pool.available).toBe(3);
  expect(pool.find([...full(0), ...full(100), 7], 2)).toEqual({ pages: [a, b], chains: [first, second] });
  expect(pool.available).toBe(1);
  expect(pool.find([...full(0), ...full(200)], 2)).toEqual({ pages: [a], chains: [first] });
  // The second page alone is another text; half a page is none; no more are given than asked for.
  expect(pool.find(full(100), 1).pages).toEqual([]);
  expect(pool.find(full(0).slice(1), 1).pages).toEqual([]);
  expect(pool.find(full(0), 0).pages).toEqual([]);
  pool.release([a]);
  expect(pool.available).toBe(1);
  pool.release([a, b]);
  expect(pool.available).toBe(3);
});

test("the end of a text makes way before its beginning, what was let go first before what came later", () => {
  const pool = new PagePool(3);
  const [a, b, c] = [pool.take()!, pool.take()!, pool.take()!];
  expect(pool.take()).toBeUndefined();
  const first = pool.name(a, emptyChain, full(0));
  pool.name(b, first, full(100));
  pool.name(c, emptyChain, full(300));
  pool.release([a, b]);
  pool.release([c]);
  expect(pool.take()).toBe(b);
  expect(pool.find([...full(0), ...full(100)], 2).pages).toEqual([a]);
  expect(pool.take()).toBe(c);
  expect(pool.find(full(300), 1).pages).toEqual([]);
  expect(pool.take()).toBeUndefined();
});

test("of two pages with one name the first keeps it", () => {
  const pool = new PagePool(2);
  const [a, b] = [pool.take()!, pool.take()!];
  const chain = pool.name(a, emptyChain, full(0));
  expect(pool.name(b, emptyChain, full(0))).toBe(chain);
  expect(pool.find(full(0), 1).pages).toEqual([a]);
});
