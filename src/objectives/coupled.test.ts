import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { gradcheck, type Tensor } from "../torch/index.ts";
import type { Objective, ObjectiveState, RowRole } from "./index.ts";
import { type ByRole, evaluate, expectClose, float64, fromRecipe, type LogProbs } from "./testing/evaluate.ts";

interface Case extends LogProbs {
  readonly objective: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly loss: number;
  readonly gradients: ByRole;
  readonly kl?: number;
  readonly state?: ObjectiveState;
  readonly after?: ObjectiveState;
}
// Made by bench/fixtures/coupled_truth.py.
const { cases } = JSON.parse(readFileSync(new URL("./fixtures/coupled.json", import.meta.url), "utf8")) as {
  cases: Case[];
};

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const at = (objective: string, given: LogProbs, settings: object = {}, state?: ObjectiveState) => {
  const got = evaluate(fromRecipe({ objective, ...settings }), given, 0, state);
  return { ...got, loss: mean(got.loss) };
};
const of = (name: string): Case => cases.find(({ objective }) => objective === name)!;
const mapped = (values: ByRole, change: (value: number, k: number, role: RowRole) => number): ByRole =>
  Object.fromEntries(
    Object.entries(values).map(([role, all]) => [role, all.map((value, k) => change(value, k, role as RowRole))]),
  );
const exchanged = ({ policy, reference }: LogProbs): LogProbs => {
  const turn = (values: ByRole): ByRole => ({
    ...values,
    target_chosen: values.rejected!,
    rejected: values.target_chosen!,
  });
  return { policy: turn(policy), reference: turn(reference) };
};

describe("value and gradient of the batch are those of TRL's code", () => {
  test.each(cases.map((given, k) => [`${k}: ${given.objective} ${JSON.stringify(given.settings)}`, given] as const))(
    "%s",
    (_, given) => {
      const { objective, settings, loss, gradients, kl, state, after } = given;
      // TRL's running mean is of float32.
      const tolerance = objective === "bco" ? 1e-6 : 1e-10;
      const got = at(objective, given, settings, state);
      expectClose([got.loss], [loss], tolerance);
      for (const [role, values] of Object.entries(gradients)) expectClose(got.gradients[role]!, values, tolerance);
      if (kl !== undefined) expectClose(got.metrics.kl!, [kl]);
      if (after === undefined) return;
      expect(got.state!.count).toBe(after.count);
      expectClose([got.state!.mean!], [after.mean!], 1e-6);
      expectClose(got.metrics.delta!, [after.mean!], 1e-6);
    },
  );
});

describe.each(["aot", "aot_unpaired", "kto", "bco"])("%s", (name) => {
  const objective = fromRecipe({ objective: name, beta: 0.3 });
  const given = of(name);

  test("has the gradients of finite differences", () => {
    const inputs = objective.roles.map((role, k) => {
      const x = float64(given.reference[role]!.map((value, i) => value + 0.8 * (i + 1) * (k - 0.4)));
      x.requiresGrad = true;
      return x;
    });
    const rest = (role: RowRole) => ({
      reference: float64(given.reference[role]!),
      lengths: float64(given.reference[role]!.map(() => 7)),
    });
    gradcheck((...policies: Tensor[]) => {
      const byRole = Object.fromEntries(
        objective.roles.map((role, k) => [role, { policy: policies[k]!, ...rest(role) }]),
      );
      if (objective.mismatched) {
        byRole.mismatched = { policy: float64(given.policy.mismatched!), ...rest("mismatched") };
      }
      // The mean reward of BCO is taken as it stands, without a gradient: here it is given, and outweighs the batch.
      const state = { count: 1e12, mean: 0.3 };
      return objective.compute(byRole as Parameters<Objective["compute"]>[0], 0, state).loss;
    }, inputs);
  });

  test("sees no change where policy and reference change alike, nor in another order of the batch", () => {
    // The margins of each are as they were; AOT sorts those of the policy and of the reference apart.
    const shift = (values: ByRole) => mapped(values, (value, _k, role) => value - role.length);
    const want = evaluate(objective, given);
    const moved = evaluate(objective, { policy: shift(given.policy), reference: shift(given.reference) });
    expectClose([mean(moved.loss)], [mean(want.loss)], 1e-9);
    const turned = (values: ByRole): ByRole =>
      Object.fromEntries(Object.entries(values).map(([role, all]) => [role, all.toReversed()]));
    const other = evaluate(objective, { policy: turned(given.policy), reference: turned(given.reference) });
    expectClose([mean(other.loss)], [mean(want.loss)]);
    for (const [role, values] of Object.entries(want.gradients))
      if (values !== null) expectClose(other.gradients[role]!.toReversed(), values);
  });

  test("does see the rest of the batch: what one row costs depends on the others", () => {
    const first = (values: ByRole, change: number) =>
      mapped(values, (value, k, role) => (k > 0 && role !== "rejected" ? value + change * k : value));
    const near = evaluate(objective, given);
    const far = evaluate(objective, { ...given, policy: first(given.policy, -3) });
    const own = (got: typeof near) => got.gradients.target_chosen![0]!;
    expect(Math.abs(own(near) - own(far))).toBeGreaterThan(1e-9);
  });
});

describe("identities", () => {
  const pair = of("aot");
  const single = of("kto");

  test("with a single pair, both forms of AOT are DPO", () => {
    const one = (values: ByRole) =>
      mapped({ target_chosen: [values.target_chosen![2]!], rejected: [values.rejected![2]!] }, (v) => v);
    const alone = { policy: one(pair.policy), reference: one(pair.reference) };
    const settings = { beta: 0.3, label_smoothing: 0.1 };
    const want = at("dpo", alone, settings);
    for (const name of ["aot", "aot_unpaired"]) {
      const got = at(name, alone, settings);
      expectClose([got.loss], [want.loss]);
      expectClose(got.gradients.rejected!, want.gradients.rejected!);
    }
  });

  test("a small beta gives log 2, or a half where the loss is a sigmoid", () => {
    for (const [name, limit] of [
      ["aot", Math.LN2],
      ["aot_unpaired", Math.LN2],
      ["bco", Math.LN2],
      ["kto", 0.5],
    ] as const)
      expectClose([at(name, of(name), { beta: 1e-12 }).loss], [limit], 1e-9);
  });

  test("exchanging preferred and dispreferred adds the mean margin to AOT; KTO's two add up to 1", () => {
    for (const name of ["aot", "aot_unpaired"]) {
      const [one, turned] = [at(name, pair), at(name, exchanged(pair))];
      expectClose([turned.loss - one.loss], [mean(one.metrics["rewards/margins"]!)]);
    }
    expectClose([at("kto", single).loss + at("kto", exchanged(single)).loss], [1]);
  });

  test("without undesirable responses KTO and BCO are the mean over the desirable, and tell no figure of the others", () => {
    for (const name of ["kto", "bco"]) {
      const { policy, reference } = of(name);
      const none = { policy: { ...policy, rejected: [] }, reference: { ...reference, rejected: [] } };
      const got = evaluate(fromRecipe({ objective: name }), none);
      expect(got.loss).toHaveLength(policy.target_chosen!.length);
      expect(got.loss.every(Number.isFinite)).toBe(true);
      expect(got.metrics["rewards/rejected"]).toEqual([]);
      expect(got.metrics["rewards/margins"]).toBeUndefined();
    }
  });

  test("BCO's mean over two batches is that of both as one", () => {
    const [a, b] = cases.filter(({ objective }) => objective === "bco") as [Case, Case];
    const both = (x: ByRole, y: ByRole): ByRole => ({
      target_chosen: [...x.target_chosen!, ...y.target_chosen!],
      rejected: [...x.rejected!, ...y.rejected!],
    });
    const first = at("bco", a, { beta: 0.3 });
    const second = at("bco", b, { beta: 0.3 }, first.state);
    const whole = at(
      "bco",
      { policy: both(a.policy, b.policy), reference: both(a.reference, b.reference) },
      { beta: 0.3 },
    );
    expect(second.state!.count).toBe(whole.state!.count);
    expectClose([second.state!.mean!], [whole.state!.mean!]);
  });

  test("a mixture with one of them is the weighted sum of the batch's losses, and carries each state", () => {
    const parts = [
      { objective: "aot", weight: 0.5 },
      { objective: "bco", weight: 2, beta: 0.3 },
      { objective: "simpo", weight: 0.1 },
    ];
    const mixed = fromRecipe({ objective: "mixture", parts });
    expect([mixed.coupled, mixed.unpaired, mixed.mismatched]).toEqual([true, false, false]);
    const state = { "1.count": 3, "1.mean": 0.2 };
    const got = evaluate(mixed, pair, 0, state);
    const bcoAlone = at("bco", pair, { beta: 0.3 }, { count: 3, mean: 0.2 });
    const want = 0.5 * at("aot", pair).loss + 2 * bcoAlone.loss + 0.1 * at("simpo", pair).loss;
    expectClose([mean(got.loss)], [want]);
    expect(got.state).toEqual({ "1.count": bcoAlone.state!.count, "1.mean": bcoAlone.state!.mean });
    const both = { objective: "mixture", parts: [{ objective: "kto" }, { objective: "bco" }] };
    expect([fromRecipe(both).unpaired, fromRecipe(both).mismatched]).toEqual([true, true]);
  });
});
