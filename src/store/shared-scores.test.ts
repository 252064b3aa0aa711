import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ScoreRequest } from "../schema/index.ts";
import { type Ledger, openLedger } from "./index.ts";
import { postgresServer } from "./testing/engines.ts";
import { postgresPrograms } from "./testing/postgres.ts";
import { answer, draw, prompt } from "./testing/rows.ts";

const prompts = Array.from({ length: 140 }, (_, i) => prompt(`p${i}`));
const model = draw("model", { splits: ["wrpo"] });

describe.skipIf(postgresPrograms() === undefined)("several workers that score on one ledger", () => {
  const postgres = postgresServer();

  async function workers(count: number): Promise<Ledger[]> {
    const shared = postgres().freshLedger();
    const opened: Ledger[] = [];
    for (let at = 0; at < count; at += 1)
      opened.push(await openLedger(mkdtempSync(join(tmpdir(), "scorers-")), { shared }));
    const [first] = opened as [Ledger];
    await first.prompts.replace(prompts);
    await first.responses.declare("sources", [model]);
    const outcomes = prompts.flatMap(({ id }) => [answer(id, 0), answer(id, 1)]);
    await first.responses.add("sources", "model", outcomes);
    return opened;
  }

  const end = async (ledgers: readonly Ledger[]) => {
    for (const ledger of ledgers) {
      await ledger.close();
      rmSync(ledger.folder, { recursive: true, force: true });
    }
  };

  /** Scores what it is given, up to so many, and gives what that was. */
  async function score(ledger: Ledger, most = Number.POSITIVE_INFINITY): Promise<string[]> {
    const given: string[] = [];
    for await (const { responseKey, prompt: of } of ledger.scores.unscored("sources", "reward")) {
      given.push(responseKey);
      await ledger.scores.add("reward", [{ promptId: of.id, responseKey, reward: "reward", value: 1, parts: [] }]);
      if (given.length >= most) break;
    }
    return given;
  }

  test("each response is scored by one of them; what one had that is gone is scored by another", async () => {
    const [a, b, c] = (await workers(3)) as [Ledger, Ledger, Ledger];
    const requests = c.scores.unscored("sources", "reward")[Symbol.asyncIterator]();
    const taken = (await requests.next()).value as ScoreRequest;
    const both = Promise.all([score(a), score(b)]);
    await c.close();
    const [byA, byB] = await both;
    expect(Math.min(byA.length, byB.length)).toBeGreaterThan(0);
    expect(new Set([...byA, ...byB]).size).toBe(280);
    expect(byA.length + byB.length).toBe(280);
    expect([...byA, ...byB]).toContain(taken.responseKey);
    expect(await a.scoreStatus()).toEqual([{ stage: "sources", reward: "reward", total: 280, done: 280, failed: 0 }]);
    expect(await score(a)).toEqual([]);
    await end([a, b, c]);
  });

  test("what fails is tried once by all of them together, and a failure that comes late does not hide a score", async () => {
    const [a, b] = (await workers(2)) as [Ledger, Ledger];
    const failing = async (ledger: Ledger): Promise<string[]> => {
      const given: string[] = [];
      for await (const { responseKey, prompt: of } of ledger.scores.unscored("sources", "reward")) {
        given.push(responseKey);
        await ledger.scores.add("reward", [{ promptId: of.id, responseKey, failure: "no number" }]);
      }
      return given;
    };
    const [byA, byB] = await Promise.all([failing(a), failing(b)]);
    expect([byA.length + byB.length, new Set([...byA, ...byB]).size]).toEqual([280, 280]);
    const [some] = await score(b, 1);
    const promptOf = new Map<string, string>();
    for await (const { key, promptId } of a.responses.byStage("sources")) promptOf.set(key, promptId);
    await a.scores.add("reward", [{ promptId: promptOf.get(some!)!, responseKey: some!, failure: "late" }]);
    expect(await a.scoreStatus()).toEqual([{ stage: "sources", reward: "reward", total: 280, done: 1, failed: 279 }]);
    await end([a, b]);
  });
});
