import { expect, test } from "vitest";
import { hearing } from "../testing/tiny-world.ts";
import { tellExpectedCost } from "./expected-cost.ts";

const call = { messages: [{ role: "user" as const, content: "x".repeat(3984) }], maxTokens: 500 };

test("what calls may cost is told before they are made, in money where there is a price", () => {
  const heard = hearing();
  const calls = [call, call];
  tellExpectedCost(heard, "judged by a", { embedded: false, price: { input: 10, output: 30 } }, calls);
  tellExpectedCost(heard, "judged by b", { embedded: false }, calls);
  expect(heard.notices).toEqual([
    // 2,000 tokens at 10 and 1,000 at 30 for a million.
    "judged by a: 2 calls, some 2000 tokens of prompts and at most 1000 of answers: at most about 0.0500 in money",
    "judged by b: 2 calls, some 2000 tokens of prompts and at most 1000 of answers",
  ]);
});

test("nothing is told of a model on this machine, nor where nothing is left to ask", () => {
  const heard = hearing();
  tellExpectedCost(heard, "judge", { embedded: true }, [call]);
  tellExpectedCost(heard, "judge", { embedded: false }, []);
  expect(heard.notices).toEqual([]);
});
