import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { counted, countedScores } from "./counts.ts";
import { drawsOf } from "./draws.ts";
import type { Ledger, StoredPrompt } from "./index.ts";
import { openSqlite } from "./sqlite.ts";
import { answer, draw, prompt } from "./testing/rows.ts";
import { discard, scratchLedger } from "./testing/scratch.ts";

let ledger: Ledger;
beforeEach(async () => {
  ledger = await scratchLedger();
});
afterEach(() => discard(ledger));

/** What the ledger says of itself, and the same counted row by row. */
async function bothWays(): Promise<[told: unknown, counted: unknown]> {
  const db = openSqlite(join(ledger.folder, "run.db"), { readOnly: true });
  try {
    const draws = await drawsOf(db);
    const responses = await Promise.all(draws.map((one) => counted(db, one)));
    const scores: [string, number][] = [];
    for (const stage of new Set(draws.map((one) => one.stage))) {
      const all = await countedScores(
        db,
        draws.filter((one) => one.stage === stage),
      );
      scores.push(...[...all].sort().map(([reward, done]): [string, number] => [`${stage} ${reward}`, done]));
    }
    const told = {
      responses: draws.map(({ done, unfinished }) => ({ done, unfinished })),
      scores: (await ledger.scoreStatus())
        .filter(({ done }) => done > 0)
        .map(({ stage, reward, done }) => [`${stage} ${reward}`, done]),
    };
    return [told, { responses, scores }];
  } finally {
    await db.destroy();
  }
}

test("whatever happens to a ledger, its counts are what it holds", async () => {
  let state = 7;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  const splits = ["sft", "wrpo", "evaluation"] as const;
  const prompts = (): StoredPrompt[] =>
    Array.from({ length: 6 }, (_, i) => ({
      ...prompt(`p${i}`, splits[random(3)]),
      checks: random(3) === 0 ? [{ id: "length", args: {} }] : [],
    })).slice(random(3));
  const declare = async () => {
    await ledger.responses.declare("sources", [
      draw("m1", { n: 1 + random(3) }),
      draw("m2", { n: 1 + random(3) }),
      draw("twin", { identity: "model-of-m1", n: 2 }),
    ]);
    await ledger.responses.declare("target", [draw("m2", { n: 3, splits: ["wrpo"] })]);
  };
  await ledger.prompts.replace(prompts());
  await declare();
  const steps = [
    async () => void (await ledger.prompts.replace(prompts())),
    declare,
    ...Array.from({ length: 6 }, () => async () => {
      const { id } = (await ledger.prompts.list())[random(3)]!;
      const outcome = answer(id, random(3));
      const cut = { ...outcome, finish: random(2) === 0 ? "stop" : "length" } as typeof outcome;
      await ledger.responses.add("sources", random(2) === 0 ? "m1" : "m2", [cut, answer(id, random(3))]);
    }),
    ...Array.from({ length: 3 }, () => async () => {
      const reward = `r${random(2)}`;
      for await (const { responseKey, prompt: of } of ledger.scores.unscored("sources", reward)) {
        await ledger.scores.add(reward, [{ promptId: of.id, responseKey, reward, value: 1, parts: [] }]);
        if (random(2) === 0) break;
      }
    }),
  ];
  for (let step = 0; step < 150; step += 1) {
    await steps[random(steps.length)]!();
    // Without a declaration nothing is counted after a change of the prompts.
    if ((await ledger.drawStatus()).length > 0 && random(2) === 0) await declare();
    const [told, truth] = await bothWays();
    const known = JSON.stringify(told).includes("null") ? truth : told;
    expect([step, known]).toEqual([step, truth]);
  }
});
