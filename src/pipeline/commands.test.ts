import { describe, expect, test } from "vitest";
import { nextCommand, readyStages } from "./commands.ts";
import { type StageName, stageNames } from "./events.ts";

const upTo = (last?: StageName) =>
  new Set<StageName>(last === undefined ? [] : stageNames.slice(0, stageNames.indexOf(last) + 1));

describe("a command does what is ready", () => {
  test("at the start only sampling is", () => {
    expect(readyStages("sample", upTo())).toEqual(["sample"]);
    for (const command of ["score", "select", "train", "evaluate"] as const)
      expect(readyStages(command, upTo())).toEqual([]);
  });

  test("the tuned target's half waits for the tuning", () => {
    expect(readyStages("sample", upTo("select_sft"))).toEqual(["sample"]);
    expect(readyStages("sample", upTo("sft"))).toEqual(["sample", "sample_target"]);
    expect(readyStages("train", upTo("select_sft"))).toEqual(["sft"]);
    expect(readyStages("train", upTo("select_quadruples"))).toEqual(["sft", "wrpo"]);
    expect(readyStages("evaluate", upTo("select_quadruples"))).toEqual([]);
    expect(readyStages("evaluate", upTo("wrpo"))).toEqual(["evaluate", "report"]);
  });

  test("a hole earlier on is not stepped over", () => {
    const done = upTo("wrpo");
    done.delete("score");
    expect(readyStages("train", done)).toEqual([]);
    expect(nextCommand(done)).toBe("score");
  });
});

test("following the next command to the end does every stage once", () => {
  const done = upTo();
  const order: StageName[] = [];
  for (let command = nextCommand(done); command !== undefined; command = nextCommand(done)) {
    const fresh = readyStages(command, done).filter((stage) => !done.has(stage));
    expect(fresh.length).toBeGreaterThan(0);
    for (const stage of fresh) {
      order.push(stage);
      done.add(stage);
    }
  }
  expect(order).toEqual(stageNames);
});
