import { describe, expect, test } from "vitest";
import { batchTexts, noChains } from "./shared-texts.ts";

describe("bundles of texts", () => {
  const ids = (start: number[], ...ends: number[][]) => ends.map((end) => [...start, ...end]);
  const prompts = (...groups: number[][][]) =>
    groups
      .flatMap((members, group) => members.map((one) => ({ group: `${group}`, ids: one })))
      .map((one, index) => ({ ...one, index }));

  test("the common beginning of a group is laid once, in its own groups", () => {
    const given = prompts(ids([1, 2, 3], [4, 5], [6]), ids([1, 2], [7]));
    expect(batchTexts(given, noChains, 100)).toEqual([
      [
        {
          shared: [1, 2, 3],
          endings: [
            { index: 0, ids: [4, 5] },
            { index: 1, ids: [6] },
          ],
        },
        { shared: [1, 2], endings: [{ index: 2, ids: [7] }] },
      ],
    ]);
  });

  test("equal prompts keep a token each, and the budget splits groups and batches", () => {
    const given = prompts(ids([1, 2, 3], [], [], []));
    expect(batchTexts(given, noChains, 4)).toEqual([
      [
        {
          shared: [1, 2],
          endings: [
            { index: 0, ids: [3] },
            { index: 1, ids: [3] },
          ],
        },
      ],
      [{ shared: [1, 2], endings: [{ index: 2, ids: [3] }] }],
    ]);
    expect(batchTexts(given, noChains, 1)).toHaveLength(3);
  });
});
