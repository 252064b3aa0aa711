import { contentKey } from "../../schema/index.ts";
import { isTie } from "../statistics.ts";
import { itemsById } from "./comparisons.ts";
import type { Focus, Moved } from "./schema.ts";
import type { BenchmarkResult, Item } from "./table.ts";

/**
 * The `most` questions of each benchmark on which `model` gained most against `baseline`, and those on which it lost most, with both
 * answers and what the judge said. Among equals a digest of the question's id decides, so that nobody picked them.
 */
export function focusOf(results: readonly BenchmarkResult[], model: string, baseline: string, most: number): Focus {
  return {
    model,
    baseline,
    benchmarks: results.flatMap((result) => {
      const [after, before] = [model, baseline].map((name) =>
        result.models.find((measured) => measured.model === name),
      );
      if (after === undefined || before === undefined) return [];
      const known = itemsById(before);
      const moved = after.items.flatMap((item) => {
        const other = known.get(item.id);
        return other === undefined ? [] : [{ moved: movedOf(item, other), lot: contentKey(item.id) }];
      });
      const towards = (sign: 1 | -1) =>
        moved
          .filter(({ moved: { difference } }) => sign * difference > 0)
          .sort((a, b) => sign * (b.moved.difference - a.moved.difference) || (a.lot < b.lot ? -1 : 1))
          .map((each) => each.moved);
      const [gained, lost] = [towards(1), towards(-1)];
      return [
        {
          benchmark: result.benchmark,
          better: gained.length,
          same: moved.length - gained.length - lost.length,
          worse: lost.length,
          gained: gained.slice(0, most),
          lost: lost.slice(0, most),
        },
      ];
    }),
  };
}

function movedOf(after: Item, before: Item): Moved {
  const { id, category = before.category, question = before.question } = after;
  return {
    id,
    ...(category === undefined ? {} : { category }),
    ...(question === undefined ? {} : { question }),
    difference: isTie(after.value, before.value) ? 0 : after.value - before.value,
    model: sideOf(after),
    baseline: sideOf(before),
  };
}

const sideOf = ({ value, answer, words }: Item): Moved["model"] => ({
  value,
  ...(answer === undefined ? {} : { answer }),
  ...(words === undefined ? {} : { words }),
});
