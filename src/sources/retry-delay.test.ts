import { expect, test } from "vitest";
import { backoffMs, retryAfterMs } from "./retry-delay.ts";

const now = Date.UTC(2026, 0, 1, 12, 0, 0);

test.each([
  [{ "retry-after": "7" }, 7000],
  [{ "retry-after": "0.25" }, 250],
  [{ "retry-after": "20", "retry-after-ms": "1500" }, 1500],
  [{ "retry-after": "Thu, 01 Jan 2026 12:00:30 GMT" }, 30_000],
  [{ "retry-after": "Thursday, 01-Jan-26 12:00:30 GMT" }, 30_000],
  [{ "retry-after": "Thu Jan  1 12:00:30 2026 GMT" }, 30_000],
  [{ "retry-after": "Thu, 01 Jan 2026 11:00:00 GMT" }, 0],
  [{ "retry-after": "Thu, 01 Jan 2026 15:00:30 GMT", date: "Thu, 01 Jan 2026 15:00:00 GMT" }, 30_000],
  [{}, undefined],
  [{ "retry-after": "-5" }, undefined],
  [{ "retry-after": "soon" }, undefined],
  [{ "retry-after": "" }, undefined],
  [{ "retry-after": ["1", "2"] }, undefined],
])("%j asks for %s ms", (headers, expected) => {
  expect(retryAfterMs(headers, now)).toBe(expected);
});

test("backoff doubles, is capped, and is spread over half of its length", () => {
  expect([0, 1, 2, 3].map((tries) => backoffMs(tries, 500, () => 0))).toEqual([500, 1000, 2000, 4000]);
  expect(backoffMs(30, 500, () => 0)).toBe(30_000);
  expect(backoffMs(2, 500, () => 1)).toBe(1000);
});
