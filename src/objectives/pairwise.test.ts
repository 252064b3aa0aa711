import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { objectiveDefaults } from "../schema/index.ts";
import { gradcheck, type Tensor } from "../torch/index.ts";
import type { Objective, Role } from "./index.ts";
import { type ByRole, evaluate, expectClose, float64, fromRecipe, type LogProbs } from "./testing/evaluate.ts";

interface Case {
  readonly objective: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Whose code or formula it is. */
  readonly by: string;
  readonly loss: number[];
  readonly gradients: Readonly<Partial<Record<Role, number[]>>>;
}
type Figures = Required<Pick<LogProbs, "policy" | "reference" | "lengths">>;
// Made by bench/fixtures/pairwise_truth.py.
const figures = JSON.parse(readFileSync(new URL("./fixtures/pairwise.json", import.meta.url), "utf8")) as Figures & {
  cases: Case[];
};
// Those that look at a whole batch stand in coupled.test.ts.
const names = (Object.keys(objectiveDefaults) as (keyof typeof objectiveDefaults)[]).filter(
  (objective) => !fromRecipe({ objective }).coupled,
);
const pairs = names.filter((name) => !name.startsWith("wrpo"));

const at = (objective: string, settings: object = {}, given: LogProbs = figures, progress = 0) =>
  evaluate(fromRecipe({ objective, ...settings }), given, progress);

const mapped = (values: ByRole, change: (value: number, row: number, role: Role) => number): ByRole =>
  Object.fromEntries(
    Object.entries(values).map(([role, row]) => [role, row.map((value, k) => change(value, k, role as Role))]),
  );

/** The figures with the responses of some roles in the places of others. */
const placed = (places: Partial<Record<Role, Role>>, { policy, reference, lengths } = figures): Figures => {
  const move = (values: ByRole): ByRole => ({
    ...values,
    ...Object.fromEntries(Object.entries(places).map(([to, from]) => [to, values[from]!])),
  });
  return { policy: move(policy), reference: move(reference), lengths: move(lengths) };
};
const exchanged = placed({ target_chosen: "rejected", rejected: "target_chosen" });

describe("value and gradient are those of TRL's code, or of the formula where TRL has none", () => {
  test.each(
    figures.cases.map((given) => [`${given.objective} ${JSON.stringify(given.settings)}, ${given.by}`, given] as const),
  )("%s", (_, { objective, settings, loss, gradients }) => {
    const got = at(objective, settings);
    expectClose(got.loss, loss);
    for (const [role, values] of Object.entries(gradients))
      expectClose(got.gradients[role] ?? values.map(() => 0), values);
  });

  test("every objective is among them", () => {
    const covered = new Set(figures.cases.map(({ objective }) => objective));
    // WRPO itself stands in losses.json.
    expect([...names, "mixture"].filter((name) => !covered.has(name))).toEqual(["wrpo"]);
  });
});

describe.each(names)("%s", (name) => {
  const objective = fromRecipe({ objective: name });

  test("has the gradients of finite differences", () => {
    // Off the kinks of the hinges, and within a few nats of the reference.
    const near = (k: number) => float64([-21.3, -19.2, -17.9].map((value, row) => value + (k + 1) * (row - 0.7)));
    const inputs = objective.roles.map((_, k) => {
      const x = near(k);
      x.requiresGrad = true;
      return x;
    });
    gradcheck((...given: Tensor[]) => {
      const byRole = Object.fromEntries(
        objective.roles.map((role, k) => [
          role,
          { policy: given[k]!, reference: float64([-20, -20.5, -18]), lengths: float64([7 + k, 9, 8 - k]) },
        ]),
      );
      return objective.compute(byRole as Parameters<Objective["compute"]>[0], 0.5).loss;
    }, inputs);
  });

  test("looks at the reference exactly where it says so", () => {
    const blind = { ...figures, reference: mapped(figures.reference, () => Number.NaN) };
    const { loss, metrics } = evaluate(objective, blind, 0.5);
    expect(loss.every(Number.isNaN)).toBe(objective.needsReference);
    expect(loss.some(Number.isNaN)).toBe(objective.needsReference);
    if (!objective.needsReference) expect(Object.values(metrics).flat().every(Number.isFinite)).toBe(true);
  });

  test("may have a reference that moves exactly where it looks at one", () => {
    const moving = () => fromRecipe({ objective: name, reference_sync_steps: 512 });
    if (objective.needsReference) expect(moving().needsReference).toBe(true);
    else expect(moving).toThrow(/looks at no reference/);
  });

  test("sees no change where policy and reference change alike", () => {
    if (!objective.needsReference) return;
    const shift = (values: ByRole) => mapped(values, (value, k, role) => value - k - role.length);
    const moved = { ...figures, policy: shift(figures.policy), reference: shift(figures.reference) };
    expectClose(evaluate(objective, moved, 0.5).loss, evaluate(objective, figures, 0.5).loss, 1e-9);
  });

  test("gives a row the same loss in any batch", () => {
    const whole = evaluate(objective, figures, 0.5);
    const only = (values: ByRole, row: number) =>
      Object.fromEntries(Object.entries(values).map(([role, all]) => [role, [all[row]!]]));
    for (const [row, want] of whole.loss.entries()) {
      const { policy, reference, lengths } = figures;
      const alone = { policy: only(policy, row), reference: only(reference, row), lengths: only(lengths, row) };
      expectClose(evaluate(objective, alone, 0.5).loss, [want]);
    }
  });
});

describe("identities", () => {
  const rows = figures.policy.rejected!.length;
  const repeated = (value: number) => Array.from({ length: rows }, () => value);
  const ratio = (role: Role, k: number) => figures.policy[role]![k]! - figures.reference[role]![k]!;
  const gap = (k: number) => ratio("target_chosen", k) - ratio("rejected", k);

  test.each([
    ["dpo", {}],
    ["robust", { label_smoothing: 0.2 }],
    ["ln_dpo", {}],
    ["r_dpo", { length_alpha: 0 }],
    ["simpo", { gamma: 0 }],
    ["cpo", { lambda: 0 }],
    ["wrpo_simpo", { gamma: 0 }],
  ])("%s tends to log 2 for a small beta", (name, settings) => {
    expectClose(at(name, { ...settings, beta: 1e-12 }).loss, repeated(Math.LN2), 1e-9);
  });

  test.each([
    ["dpo", {}, 1],
    ["dpo", { label_smoothing: 0.2 }, 0.6],
    ["dpo", { divergence: "js" }, 1],
    ["ln_dpo", {}, 1],
    ["ln_dpo", { label_smoothing: 0.1 }, 0.8],
    ["robust", { label_smoothing: 0.2 }, 1 / 0.6],
    ["simpo", { gamma: 0 }, 1],
    ["cpo", { lambda: 0 }, 1],
    ["ipo", { tau: 0.2 }, 2 / 0.2 / 0.2],
    ["bco_pair", {}, 1],
  ])("exchanging y_w and y_l adds the margin to %s with %j, times %d", (name, settings, factor) => {
    const [one, turned] = [at(name, settings), at(name, settings, exchanged)];
    expectClose(
      turned.loss.map((value, k) => value - one.loss[k]!),
      one.metrics["rewards/margins"]!.map((margin) => factor * margin),
      1e-9,
    );
  });

  test("robust is DPO in the mean over labels that are wrong with probability epsilon", () => {
    const settings = { beta: 0.3, label_smoothing: 0.2 };
    const wrong = at("robust", settings, exchanged).loss;
    const right = at("robust", settings).loss;
    expectClose(
      right.map((value, k) => 0.8 * value + 0.2 * wrong[k]!),
      at("dpo", { beta: 0.3 }).loss,
    );
  });

  test("exo_pair is a KL divergence: never below 0, and 0 where the margin has the labels' odds", () => {
    const settings = { beta: 0.4, label_smoothing: 0.1 };
    for (const value of at("exo_pair", settings).loss) expect(value).toBeGreaterThanOrEqual(0);
    const exact = mapped(figures.policy, (value, k, role) =>
      role === "target_chosen" ? value - gap(k) + Math.log(0.9 / 0.1) / 0.4 : value,
    );
    expectClose(at("exo_pair", settings, { ...figures, policy: exact }).loss, repeated(0));
  });

  test("the squared losses are 0 at their targets", () => {
    const to = (role: Role, value: (k: number) => number) =>
      mapped(figures.policy, (was, k, at) => (at === role ? was + value(k) : was));
    const ipo = to("target_chosen", (k) => 1 / (2 * 0.2) - gap(k));
    expectClose(at("ipo", { tau: 0.2 }, { ...figures, policy: ipo }).loss, repeated(0), 1e-20);
    const chosen = to("target_chosen", (k) => 1 / (2 * 0.2) - ratio("target_chosen", k));
    const both = mapped(chosen, (was, k, role) =>
      role === "rejected" ? was - 1 / (2 * 0.2) - ratio("rejected", k) : was,
    );
    expectClose(at("sppo_hard", { beta: 0.2 }, { ...figures, policy: both }).loss, repeated(0), 1e-20);
  });

  test("with responses of one length, a length changes nothing but the scale", () => {
    const even = { policy: figures.policy, reference: figures.reference };
    expectClose(at("ln_dpo", { beta: 1 }, even).loss, at("dpo", { beta: 0.1 }, even).loss);
    expectClose(at("r_dpo", { beta: 0.1, length_alpha: 0.5 }, even).loss, at("dpo", { beta: 0.1 }, even).loss);
  });

  test("a longer preferred response costs less under R-DPO, a longer dispreferred one more", () => {
    const plain = at("r_dpo", { length_alpha: 0.1 }).loss;
    const longer = mapped(figures.lengths, (n, _, role) => (role === "target_chosen" ? n + 5 : n));
    for (const [k, value] of at("r_dpo", { length_alpha: 0.1 }, { ...figures, lengths: longer }).loss.entries())
      expect(value).toBeLessThan(plain[k]!);
  });

  test("discopop stays finite where one of its factors overflows", () => {
    const far = mapped(figures.policy, (value, _, role) => (role === "target_chosen" ? value - 1e5 : value));
    const { loss, gradients } = at("discopop", {}, { ...figures, policy: far });
    for (const value of [...loss, ...gradients.target_chosen!]) expect(value).toSatisfy(Number.isFinite);
  });

  test("the alpha-divergence is the reverse KL at alpha 1", () => {
    expectClose(at("dpo", { divergence: "alpha", divergence_alpha: 1 }).loss, at("dpo").loss);
    const close = at("dpo", { beta: 0.1, divergence: "alpha", divergence_alpha: 1 + 1e-7 });
    expectClose(close.loss, at("dpo", { beta: 0.1 }).loss, 1e-5);
  });

  test.each([
    ["wrpo", "dpo", { beta: 0.1, label_smoothing: 0.1 }],
    ["wrpo_simpo", "simpo", { beta: 2, gamma: 0.5, label_smoothing: 0.1 }],
    ["wrpo_ipo", "ipo", { tau: 0.2 }],
  ])("%s with alpha 0 is %s on (y_wt, y_l), with alpha 1 on (y_ws, y_l)", (weighted, plain, settings) => {
    const fixed = (alpha: number) => at(weighted, { ...settings, alpha, alpha_schedule: "static" });
    const [none, all] = [fixed(0), fixed(1)];
    expectClose(none.loss, at(plain, settings).loss);
    expectClose(none.gradients.source_chosen!, repeated(0));
    expectClose(all.loss, at(plain, settings, placed({ target_chosen: "source_chosen" })).loss);
    expectClose(all.gradients.target_chosen!, repeated(0));
    expectClose(
      at(weighted, { ...settings, alpha: 0.6 }, figures, 0.5).loss,
      at(weighted, { ...settings, alpha: 0.3, alpha_schedule: "static" }).loss,
    );
  });

  test("WRPO with a dispreferred source response is DPO on (y_wt, y_l) with alpha 0, on (y_ws, y_ls) with alpha 1", () => {
    const fixed = (alpha: number) => at("wrpo_source_rejected", { beta: 0.1, alpha, alpha_schedule: "static" });
    const ofSource = placed({ target_chosen: "source_chosen", rejected: "source_rejected" });
    expectClose(fixed(0).loss, at("dpo", { beta: 0.1 }).loss);
    expectClose(fixed(1).loss, at("dpo", { beta: 0.1 }, ofSource).loss);
    const alike = placed({ source_rejected: "rejected" });
    expectClose(at("wrpo_source_rejected", {}, alike, 0.5).loss, at("wrpo", {}, alike, 0.5).loss);
  });

  test("a mixture is the weighted sum of its parts, on all responses that they use, and tells each loss", () => {
    const parts = [
      { objective: "wrpo", weight: 0.25, beta: 0.1 },
      { objective: "simpo", weight: 2 },
    ];
    const [first, second] = [at("wrpo", { beta: 0.1 }, figures, 0.5), at("simpo", {}, figures, 0.5)];
    const mixed = at("mixture", { parts }, figures, 0.5);
    expectClose(
      mixed.loss,
      first.loss.map((value, k) => 0.25 * value + 2 * second.loss[k]!),
    );
    expectClose(mixed.metrics["loss/simpo"]!, second.loss);
    expectClose(mixed.metrics["rewards/margins"]!, first.metrics["rewards/margins"]!);
    expect(fromRecipe({ objective: "mixture", parts }).needsReference).toBe(true);
    const free = fromRecipe({ objective: "mixture", parts: [{ objective: "sft" }, { objective: "simpo" }] });
    expect([free.roles, free.needsReference]).toEqual([["target_chosen", "rejected"], false]);
  });

  test.each(pairs.filter((name) => "reference_free" in objectiveDefaults[name]))(
    "%s without a reference is itself at a reference that finds every response equally likely",
    (name) => {
      const flat = { ...figures, reference: mapped(figures.reference, () => 0) };
      expectClose(at(name, { reference_free: true }).loss, at(name, {}, flat).loss);
      expect(fromRecipe({ objective: name, reference_free: true }).needsReference).toBe(false);
    },
  );
});
