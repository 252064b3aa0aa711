import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { gradcheck, type Tensor } from "../torch/index.ts";
import { dpo, fusionCoefficient, type Objective, type Role, wrpo } from "./index.ts";
import { evaluate as evaluateAll, expectClose, float64, fromRecipe } from "./testing/evaluate.ts";

type ByRole = Readonly<Record<Role, number[]>>;
interface Case {
  readonly objective: "wrpo" | "dpo";
  readonly beta: number;
  readonly alpha: number;
  readonly epsilon: number;
  readonly loss: number[];
  readonly gradients: Partial<ByRole>;
  readonly rewards: { readonly chosen: number[] } & Partial<ByRole>;
}
// Made by bench/fixtures/objectives_truth.py with the authors' formulas.
const figures = JSON.parse(readFileSync(new URL("./fixtures/losses.json", import.meta.url), "utf8")) as {
  policy: ByRole;
  reference: ByRole;
  cases: Case[];
  several: {
    policy: number[];
    reference: number[];
    cases: (Pick<Case, "beta" | "alpha" | "loss" | "gradients"> & { weights: "equal" | number[] })[];
  };
};

const roles = ["source_chosen", "target_chosen", "rejected"] as const;

const evaluate = (objective: Objective, policy: ByRole, reference: ByRole, progress = 0) =>
  evaluateAll(objective, { policy, reference }, progress);

const fixed = (beta: number, alpha: number, labelSmoothing = 0) =>
  wrpo({ beta, alpha, alphaSchedule: "static", labelSmoothing });

describe("the authors' formulas", () => {
  test.each(
    figures.cases.map(
      (given) =>
        [`${given.objective}, beta ${given.beta}, alpha ${given.alpha}, smoothing ${given.epsilon}`, given] as const,
    ),
  )("%s", (_, { objective, beta, alpha, epsilon, loss, gradients, rewards }) => {
    const own = objective === "wrpo" ? fixed(beta, alpha, epsilon) : dpo({ beta, labelSmoothing: epsilon });
    const got = evaluate(own, figures.policy, figures.reference);
    expectClose(got.loss, loss);
    for (const [role, values] of Object.entries(gradients)) expectClose(got.gradients[role]!, values);
    expectClose(got.metrics["rewards/chosen"]!, rewards.chosen);
    expectClose(got.metrics["rewards/rejected"]!, rewards.rejected!);
    expectClose(
      got.metrics["rewards/margins"]!,
      rewards.chosen.map((value, k) => value - rewards.rejected![k]!),
    );
    expect(got.metrics["rewards/accuracies"]).toEqual(
      rewards.chosen.map((value, k) => Number(value > rewards.rejected![k]!)),
    );
    if (objective === "dpo") return;
    expectClose(got.metrics["rewards/source_chosen"]!, rewards.source_chosen!);
    expectClose(got.metrics["rewards/target_chosen"]!, rewards.target_chosen!);
    expect(got.metrics["rewards/source_accuracies"]).toEqual(
      rewards.source_chosen!.map((value, k) => Number(value > rewards.rejected![k]!)),
    );
    expect(got.metrics["rewards/pivot_accuracies"]).toEqual(
      rewards.target_chosen!.map((value, k) => Number(value > rewards.rejected![k]!)),
    );
    expectClose(
      got.metrics["logps/chosen"]!,
      figures.policy.source_chosen.map((value, k) => (value + figures.policy.target_chosen[k]!) / 2),
    );
    expectClose(
      got.metrics.cur_alpha!,
      loss.map(() => alpha),
    );
  });
});

test("WRPO is its closed form: log(1 + exp(-h)), h = alpha r_ws + (1 - alpha) r_wt - r_l", () => {
  const [beta, alpha] = [0.05, 0.3];
  const r = (role: Role, k: number) => beta * (figures.policy[role][k]! - figures.reference[role][k]!);
  const want = figures.policy.rejected.map((_, k) => {
    const h = alpha * r("source_chosen", k) + (1 - alpha) * r("target_chosen", k) - r("rejected", k);
    return h > 0 ? Math.log1p(Math.exp(-h)) : -h + Math.log1p(Math.exp(h));
  });
  expectClose(evaluate(fixed(beta, alpha), figures.policy, figures.reference).loss, want);
});

test.each([
  ["wrpo", fixed(0.3, 0.4)],
  ["wrpo with label smoothing", fixed(0.3, 0.4, 0.1)],
  ["dpo", dpo({ beta: 0.3, labelSmoothing: 0 })],
  ["dpo with label smoothing", dpo({ beta: 0.3, labelSmoothing: 0.2 })],
] as const)("the gradients of %s are those of finite differences", (_, objective) => {
  const near = (values: readonly number[], shift: number) => {
    const x = float64(values.map((_, k) => -50 + shift * (k - 2.5)));
    x.requiresGrad = true;
    return x;
  };
  const inputs = objective.roles.map((role, k) => near(figures.policy[role], k + 0.7));
  gradcheck((...given: Tensor[]) => {
    const byRole = Object.fromEntries(
      objective.roles.map((role, k) => [
        role,
        { policy: given[k]!, reference: float64(figures.policy[role].map(() => -50)), lengths: given[k]!.detach() },
      ]),
    );
    return objective.compute(byRole as Parameters<Objective["compute"]>[0], 0).loss;
  }, inputs);
});

describe("identities", () => {
  const own = (objective: Objective) => evaluate(objective, figures.policy, figures.reference);

  test("alpha 0 is DPO on (y_wt, y_l), alpha 1 is DPO on (y_ws, y_l)", () => {
    const pair = dpo({ beta: 0.1, labelSmoothing: 0.1 });
    expectClose(own(fixed(0.1, 0, 0.1)).loss, own(pair).loss);
    const swap = (values: ByRole): ByRole => ({ ...values, target_chosen: values.source_chosen });
    const onSource = evaluate(pair, swap(figures.policy), swap(figures.reference));
    expectClose(own(fixed(0.1, 1, 0.1)).loss, onSource.loss);
    expect(own(fixed(0.1, 0)).gradients.source_chosen!.every((value) => value === 0)).toBe(true);
    expect(own(fixed(0.1, 1)).gradients.target_chosen!.every((value) => value === 0)).toBe(true);
  });

  test("the loss is log 2 at the reference, and in the limit of a small beta", () => {
    const at = evaluate(fixed(0.7, 0.3), figures.policy, figures.policy);
    expectClose(
      at.loss,
      at.loss.map(() => Math.LN2),
    );
    expectClose(
      own(fixed(1e-12, 0.3)).loss,
      at.loss.map(() => Math.LN2),
      1e-8,
    );
  });

  test("what policy and reference share, and what all rewards share, changes nothing", () => {
    const shift = (values: ByRole, by: number): ByRole =>
      Object.fromEntries(roles.map((role) => [role, values[role].map((v) => v + by)])) as ByRole;
    const want = own(fixed(0.1, 0.3)).loss;
    expectClose(evaluate(fixed(0.1, 0.3), shift(figures.policy, 7), shift(figures.reference, 7)).loss, want, 1e-9);
    expectClose(evaluate(fixed(0.1, 0.3), shift(figures.policy, 7), figures.reference).loss, want, 1e-9);
  });

  test("the three gradients of a row stand as alpha : 1 - alpha : -1", () => {
    const { gradients } = own(fixed(0.05, 0.2));
    for (const [k, value] of gradients.rejected!.entries()) {
      expect(gradients.source_chosen![k]!).toBeCloseTo(-0.2 * value, 12);
      expect(gradients.target_chosen![k]!).toBeCloseTo(-0.8 * value, 12);
    }
  });

  test("half the labels wrong leaves nothing to prefer: the loss is even in the margin", () => {
    const negate = (values: ByRole): ByRole =>
      Object.fromEntries(roles.map((role) => [role, values[role].map((v) => -v)])) as ByRole;
    const half = fixed(0.1, 0.3, 0.5);
    expectClose(evaluate(half, negate(figures.policy), negate(figures.reference)).loss, own(half).loss);
  });
});

describe("several source responses", () => {
  const { several } = figures;
  const policy = { ...figures.policy, source_chosen: several.policy };
  const reference = { ...figures.reference, source_chosen: several.reference };
  const of = (settings: object, count = 3) =>
    fromRecipe({ beta: 0.1, alpha: 0.4, alpha_schedule: "static", ...settings }, count);
  const rows = [...figures.policy.rejected.keys()];

  test.each(several.cases.map((given) => [JSON.stringify([given.beta, given.alpha, given.weights]), given] as const))(
    "are the authors' product of rewards and weights: %s",
    (_, { beta, alpha, weights, loss, gradients }) => {
      const got = evaluate(of({ beta, alpha, label_smoothing: 0.1, source_weights: weights }), policy, reference);
      expectClose(got.loss, loss);
      for (const [role, values] of Object.entries(gradients)) expectClose(got.gradients[role]!, values);
    },
  );

  test.each(["wrpo", "wrpo_simpo", "wrpo_ipo"])("of %s that are all one response are as that one", (objective) => {
    const settings = objective === "wrpo_ipo" ? { objective, beta: undefined, tau: 0.1 } : { objective };
    const thrice = (values: ByRole) => ({
      ...values,
      source_chosen: rows.flatMap((k) => Array<number>(3).fill(values.source_chosen[k]!)),
    });
    for (const source_weights of ["equal", [5, 0.5, 2]]) {
      const got = evaluate(of({ ...settings, source_weights }), thrice(figures.policy), thrice(figures.reference));
      const one = evaluate(of(settings, 1), figures.policy, figures.reference);
      expectClose(got.loss, one.loss);
      for (const [name, values] of Object.entries(one.metrics))
        if (name !== "logps/chosen") expectClose(got.metrics[name]!, values);
    }
  });

  test("are told as their mean", () => {
    const { metrics } = evaluate(of({}), policy, reference);
    for (const k of rows) {
      const own = [0, 1, 2].map((i) => 3 * k + i);
      const mean = (values: readonly number[]) => own.reduce((sum, i) => sum + values[i]! / 3, 0);
      expect(metrics["logps/source_chosen"]![k]).toBeCloseTo(mean(several.policy), 9);
      expect(metrics["rewards/source_chosen"]![k]).toBeCloseTo(
        0.1 * (mean(several.policy) - mean(several.reference)),
        9,
      );
      const all = (3 * mean(several.policy) + figures.policy.target_chosen[k]!) / 4;
      expect(metrics["logps/chosen"]![k]).toBeCloseTo(all, 9);
    }
  });

  test("stand in the roles as often, also in mixtures, and their weights must be as many", () => {
    const roles = ["source_chosen", "source_chosen", "target_chosen", "rejected"];
    expect(fromRecipe({}, 2).roles).toEqual(roles);
    expect(fromRecipe({ objective: "mixture", parts: [{ objective: "dpo" }, { objective: "wrpo" }] }, 2).roles).toEqual(
      roles,
    );
    expect(() => fromRecipe({ source_weights: [1, 2] }, 3)).toThrow(/2 source_weights for 3 responses/);
  });
});

describe("the fusion coefficient", () => {
  const settings = { beta: 0.01, alpha: 0.1, alphaSchedule: "linear", labelSmoothing: 0 } as const;

  test("rises linearly from 0 over the steps, towards its end value", () => {
    const steps = [0, 1, 2, 3, 4, 5, 6, 7].map((step) => fusionCoefficient(settings, step / 8));
    for (const [k, value] of steps.entries()) expect(value).toBeCloseTo(0.0125 * k, 15);
    const at = evaluate(wrpo(settings), figures.policy, figures.reference, 3 / 8);
    expectClose(at.loss, evaluate(fixed(0.01, 0.0375), figures.policy, figures.reference).loss);
    expectClose(
      at.metrics.cur_alpha!,
      at.loss.map(() => 0.0375),
    );
  });

  test("or stays where it is", () => {
    for (const progress of [0, 0.5, 0.99])
      expect(fusionCoefficient({ ...settings, alphaSchedule: "static" }, progress)).toBe(0.1);
  });
});

test("a recipe's names and numbers reach the objective", () => {
  const plain = evaluate(fromRecipe({}), figures.policy, figures.reference, 0.5);
  expectClose(plain.loss, evaluate(fixed(0.01, 0.05), figures.policy, figures.reference).loss);
  const set = fromRecipe({ beta: 0.2, alpha: 0.7, alpha_schedule: "static", label_smoothing: 0.1 });
  const own = evaluate(set, figures.policy, figures.reference, 0.5);
  expectClose(own.loss, evaluate(fixed(0.2, 0.7, 0.1), figures.policy, figures.reference).loss);
  const pair = fromRecipe({ objective: "dpo", beta: 0.2, label_smoothing: 0.1 });
  expect([pair.name, pair.roles]).toEqual(["dpo", ["target_chosen", "rejected"]]);
  expectClose(
    evaluate(pair, figures.policy, figures.reference).loss,
    evaluate(dpo({ beta: 0.2, labelSmoothing: 0.1 }), figures.policy, figures.reference).loss,
  );
});
