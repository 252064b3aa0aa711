import { contentKey, RecipeError, type RewardModel, type Score, type ScoreFailure } from "../schema/index.ts";
import { gathered } from "../sources/index.ts";
import type { ComponentOutcome, RewardComponent } from "./component.ts";

export interface WeightedComponent {
  readonly component: RewardComponent;
  /** Above 0; only its share of the sum counts. */
  readonly weight: number;
}

interface Share {
  readonly component: RewardComponent;
  readonly share: number;
}

/** Responses in work at once. Components wait for each other, so a crash loses at most the judgements of these. */
const windowSize = 512;

/**
 * Several rewards as one: value = sum of w_i v_i / sum of w_i over the components that have something to say about the
 * response. Its parts are all their parts with effective weights: the value is exactly the sum of weight * value.
 *
 * A component that abstains (checks, on a prompt without any) leaves its weight to the others; where all abstain, and
 * where one fails, the response has a ScoreFailure that names them. The identity depends on what the components are and
 * on the ratios of their weights, not on their names, their order or the weights' sum.
 *
 * Throws RecipeError without components and for weights that are not above 0.
 */
export function composeRewards(components: readonly WeightedComponent[]): RewardModel {
  const shares = sharesOf(components);
  const identity = contentKey({
    kind: "mean",
    components: shares.map(({ component, share }) => [component.identity, share]),
  });
  const workers = shares.length;
  return {
    name:
      workers === 1
        ? shares[0]!.component.name
        : shares.map(({ component, share }) => `${component.name} (${Number(share.toPrecision(2))})`).join(" + "),
    identity,
    async *score(requests, signal) {
      for (let from = 0; from < requests.length && !signal.aborted; from += windowSize) {
        const window = requests.slice(from, from + windowSize);
        const waiting = new Map(window.map((_, index) => [index, new Map<Share, ComponentOutcome>()]));
        const outcomes = gathered<Share, readonly [Share, ComponentOutcome]>(
          shares,
          workers,
          async (share, emit, stop) => {
            for await (const outcome of share.component.rate(window, stop)) emit([share, outcome]);
          },
          signal,
        );
        for await (const [share, outcome] of outcomes) {
          const { index } = outcome;
          const known = waiting.get(index);
          if (known === undefined || known.has(share))
            throw new Error(`${share.component.name} gave a second outcome for one response`);
          known.set(share, outcome);
          if (known.size < workers) continue;
          waiting.delete(index);
          yield combine(window[index]!.responseKey, identity, shares, known);
        }
        if (waiting.size > 0 && !signal.aborted)
          throw new Error(`${waiting.size} responses were left without an outcome by a component of the reward`);
      }
    },
    async close() {
      const closed = await Promise.allSettled(shares.map(({ component }) => component.close()));
      for (const outcome of closed) if (outcome.status === "rejected") throw outcome.reason;
    },
  };
}

/** Each component with its share of the weights, in an order that does not depend on the recipe's. */
function sharesOf(components: readonly WeightedComponent[]): Share[] {
  if (components.length === 0) throw new RecipeError("there is no reward", { field: "rewards" });
  const sum = components.reduce((total, { weight }) => total + weight, 0);
  for (const { component, weight } of components)
    if (!(weight > 0) || !Number.isFinite(sum))
      throw new RecipeError(`${component.name} has weight ${weight}; weights are finite numbers above 0`, {
        field: "rewards",
      });
  return components
    .map(({ component, weight }) => ({ component, share: weight / sum }))
    .sort((a, b) => compare(a.component.identity, b.component.identity) || a.share - b.share);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function combine(
  responseKey: string,
  reward: string,
  shares: readonly Share[],
  outcomes: ReadonlyMap<Share, ComponentOutcome>,
): Score | ScoreFailure {
  const failures: string[] = [];
  const speaking: { share: Share; outcome: Extract<ComponentOutcome, { parts: unknown }> }[] = [];
  for (const share of shares) {
    const outcome = outcomes.get(share)!;
    if ("failure" in outcome) failures.push(`${share.component.name}: ${outcome.failure}`);
    else if (outcome.parts.length > 0) speaking.push({ share, outcome });
  }
  if (failures.length > 0) return { responseKey, failure: failures.join("; ") };
  if (speaking.length === 0) {
    const names = shares.map(({ component }) => component.name).join(" and ");
    return { responseKey, failure: `${names} can't score this: the prompt has no checks, and there is no judge` };
  }
  const weights = speaking.reduce((sum, { share }) => sum + share.share, 0);
  const parts = speaking.flatMap(({ share, outcome }) =>
    outcome.parts.map((part) => ({ ...part, weight: (part.weight * share.share) / weights })),
  );
  return { responseKey, reward, value: parts.reduce((sum, { value, weight }) => sum + weight * value, 0), parts };
}
