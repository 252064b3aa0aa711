import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { objectiveDefaults } from "../schema/index.ts";
import { type ByRole, evaluate, expectClose, fromRecipe, type LogProbs } from "./testing/evaluate.ts";

interface Case {
  readonly objective: string;
  readonly settings: { readonly ld_alpha?: number };
  readonly by: string;
  readonly loss: number[];
  /** By a token of the head. */
  readonly gradients: ByRole;
}
// Made by bench/fixtures/modifiers_truth.py.
const figures = JSON.parse(readFileSync(new URL("./fixtures/modifiers.json", import.meta.url), "utf8")) as Required<
  LogProbs & { cases: Case[] }
>;
const at = (objective: string, settings: object = {}, given: LogProbs = figures) =>
  evaluate(fromRecipe({ objective, ...settings }), given);
const names = Object.entries(objectiveDefaults);
const having = (field: string) => names.filter(([, defaults]) => field in defaults).map(([name]) => name);
const only = (...fields: (keyof LogProbs)[]): LogProbs => {
  const { policy, reference, lengths } = figures;
  return { policy, reference, lengths, ...Object.fromEntries(fields.map((field) => [field, figures[field]])) };
};

describe("value and gradient are those of TRL's code", () => {
  test.each(
    figures.cases.map((given) => [`${given.objective} ${JSON.stringify(given.settings)}, ${given.by}`, given] as const),
  )("%s", (_, { objective, settings, loss, gradients }) => {
    const got = at(objective, settings);
    expectClose(got.loss, loss);
    for (const [role, values] of Object.entries(gradients)) {
      const whole = got.gradients[role]!;
      const head = got.headGradients[role] ?? whole.map(() => 0);
      // A token of the head is in both sums, one of the tail in the whole's alone.
      expectClose(
        whole.map((value, k) => value + head[k]!),
        values,
      );
      expectClose(
        whole,
        values.map((value) => value * (settings.ld_alpha ?? 1)),
      );
    }
  });

  test("every modified objective is among them", () => {
    const covered = new Set(figures.cases.map(({ objective }) => objective));
    // R-DPO is none of TRL's; AOT stands below.
    expect(having("wpo_weighting").filter((name) => !covered.has(name))).toEqual(["r_dpo"]);
  });
});

describe("LD-DPO's weight of the tokens beyond the shorter length", () => {
  test.each(having("ld_alpha"))("%s at 0 looks at the heads alone, at 1 at no head", (name) => {
    const none = at(name, { ld_alpha: 0 });
    const heads = { ...only(), policy: figures.head, reference: figures.headReference };
    expectClose(none.loss, at(name, {}, heads).loss);
    const all = fromRecipe({ objective: name, ld_alpha: 1 });
    expect([all.needsHeads, fromRecipe({ objective: name, ld_alpha: 0.5 }).needsHeads]).toEqual([false, true]);
    expectClose(evaluate(all, only()).loss, at(name, {}, only()).loss);
  });

  test("with responses of one length it changes nothing", () => {
    const even = { ...only(), head: figures.policy, headReference: figures.reference };
    for (const name of having("ld_alpha")) expectClose(at(name, { ld_alpha: 0.2 }, even).loss, at(name, {}, even).loss);
  });
});

describe("WPO's weights", () => {
  test.each(having("wpo_weighting"))("%s: a row's loss and gradients times both weights, none through them", (name) => {
    const [plain, weighed] = [at(name, {}, only("alignment")), at(name, { wpo_weighting: true }, only("alignment"))];
    const { target_chosen: w, rejected: l } = figures.alignment;
    const weight = (k: number) => Math.exp(w![k]!) * Math.exp(l![k]!);
    expectClose(
      weighed.loss,
      plain.loss.map((value, k) => value * weight(k)),
    );
    expectClose(
      weighed.metrics["wpo/weights"]!,
      plain.loss.map((_, k) => weight(k)),
    );
    for (const [role, values] of Object.entries(plain.gradients))
      expectClose(
        weighed.gradients[role]!,
        values!.map((value, k) => value * weight(k)),
      );
    expect(fromRecipe({ objective: name, wpo_weighting: true }).needsAlignments).toBe(true);
  });

  test("of responses whose tokens are as probable as the policy's own are 1", () => {
    const even = {
      ...only(),
      alignment: Object.fromEntries(
        Object.entries(figures.alignment).map(([role, values]) => [role, values!.map(() => 0)]),
      ),
    };
    expectClose(at("dpo", { wpo_weighting: true }, even).loss, at("dpo", {}, even).loss);
  });
});

// Elsewhere the constant 1 / (alpha - 1), which the margin cancels, counts.
const onMargins = ["dpo", "robust", "hinge", "exo_pair", "discopop", "r_dpo", "apo_down"];
test.each(onMargins)("%s under the alpha-divergence tends to itself for alpha 1", (name) => {
  const close = at(name, { divergence: "alpha", divergence_alpha: 1 + 1e-8 }, only());
  for (const [role, values] of Object.entries(at(name, {}, only()).gradients))
    expectClose(close.gradients[role]!, values!, 1e-5);
});

test("a mixture has the modifiers of each part", () => {
  const parts = [
    { objective: "dpo", ld_alpha: 0.3 },
    { objective: "hinge", wpo_weighting: true },
  ];
  const mixed = fromRecipe({ objective: "mixture", parts });
  expect([mixed.needsHeads, mixed.needsAlignments]).toEqual([true, true]);
  const [first, second] = [at("dpo", { ld_alpha: 0.3 }), at("hinge", { wpo_weighting: true })];
  expectClose(
    evaluate(mixed, figures).loss,
    first.loss.map((value, k) => value + second.loss[k]!),
  );
});
