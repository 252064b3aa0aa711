import {
  contentKey,
  RecipeError,
  type RewardModel,
  type Score,
  type ScoreFailure,
  type ScorePart,
} from "../schema/index.ts";
import { gathered } from "../sources/index.ts";
import type { ComponentOutcome, RewardComponent } from "./component.ts";

export interface WeightedComponent {
  readonly component: RewardComponent;
  /** Above 0; only its share of the sum counts. */
  readonly weight: number;
  /** Values below the first are the first, values above the second the second. */
  readonly clip?: readonly [low: number, high: number];
  /** With a gate, the component has no share: where its value is below `least`, the whole is `otherwise`. */
  readonly gate?: { readonly least: number; readonly otherwise: number };
}

interface Share extends Pick<WeightedComponent, "component" | "clip" | "gate"> {
  /** Of a gate 0. */
  readonly share: number;
}

/** What a component that speaks says of a response. */
interface Said {
  readonly share: Share;
  readonly value: number;
  readonly parts: readonly ScorePart[];
}

/** Responses in work at once. Components wait for each other, so a crash loses at most the judgements of these. */
const windowSize = 512;

/**
 * Several rewards as one: value = sum of w_i v_i / sum of w_i over the components that have something to say about the
 * response, each v_i within its `clip`; the `otherwise` of a gate whose value is too low, the least of several. Its parts are all
 * their parts with effective weights: the value is exactly the sum of weight * value. What was clipped, a gate's parts and
 * what stands behind a closed gate weigh 0 and are kept as figures.
 *
 * A component that abstains (checks, on a prompt without any) leaves its weight to the others, and as a gate is open; where all
 * abstain, and where one fails or gives no finite number, the response has a ScoreFailure that names them. The identity depends on
 * what the components are and on the ratios of their weights, not on their names, their order or the weights' sum.
 *
 * Throws RecipeError without components that have a share, and for weights that are not above 0.
 */
export function composeRewards(components: readonly WeightedComponent[]): RewardModel {
  const shares = sharesOf(components);
  const identity = contentKey({
    kind: "mean",
    components: shares.map(({ component, share, clip, gate }) => [
      component.identity,
      share,
      ...(clip === undefined && gate === undefined ? [] : [{ clip, gate }]),
    ]),
  });
  const workers = shares.length;
  return {
    name: workers === 1 ? shares[0]!.component.name : shares.map(shownShare).join(" + "),
    identity,
    comparing: shares.some(({ component }) => component.comparing === true),
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

const shownShare = ({ component, share, gate }: Share): string =>
  `${component.name} (${gate === undefined ? Number(share.toPrecision(2)) : "gate"})`;

/** Each component with its share of the weights, in an order that does not depend on the recipe's. */
function sharesOf(components: readonly WeightedComponent[]): Share[] {
  const weighed = components.filter(({ gate }) => gate === undefined);
  if (weighed.length === 0) throw new RecipeError("there is no reward but gates", { field: "rewards" });
  const sum = weighed.reduce((total, { weight }) => total + weight, 0);
  for (const { component, weight } of weighed)
    if (!(weight > 0) || !Number.isFinite(sum))
      throw new RecipeError(`${component.name} has weight ${weight}; weights are finite numbers above 0`, {
        field: "rewards",
      });
  return components
    .map(({ weight, ...rest }) => ({ ...rest, share: rest.gate === undefined ? weight / sum : 0 }))
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
  const speaking: Said[] = [];
  for (const share of shares) {
    const outcome = outcomes.get(share)!;
    if ("failure" in outcome) failures.push(`${share.component.name}: ${outcome.failure}`);
    else if (outcome.parts.length > 0) {
      const said = clipped(share, outcome.parts);
      if (!Number.isFinite(said.value)) failures.push(`${share.component.name}: its value is ${said.value}, no number`);
      speaking.push(said);
    }
  }
  if (failures.length > 0) return { responseKey, failure: failures.join("; ") };
  const gates = speaking.filter(({ share }) => share.gate !== undefined);
  const weighed = speaking.filter(({ share }) => share.gate === undefined);
  if (weighed.length === 0) {
    const names = shares.flatMap(({ component, gate }) => (gate === undefined ? [component.name] : [])).join(" and ");
    return {
      responseKey,
      failure: `${names} can't score this: the prompt has no checks, tests or reference for it, and no other reward speaks`,
    };
  }
  const closed = gates
    // The mean of six ones is a little less than 1 in binary.
    .filter(({ share, value }) => value < share.gate!.least - 1e-9)
    .sort((a, b) => a.share.gate!.otherwise - b.share.gate!.otherwise)[0];
  const figures = gates.flatMap(({ parts }) => parts.map(asFigure));
  const weights = weighed.reduce((sum, { share }) => sum + share.share, 0);
  const counted = weighed.flatMap(({ share, parts }) =>
    closed === undefined
      ? parts.map((part) => ({ ...part, weight: (part.weight * share.share) / weights }))
      : parts.map(asFigure),
  );
  const behind =
    closed === undefined
      ? []
      : [{ name: `${closed.share.component.name}:closed`, value: closed.share.gate!.otherwise, weight: 1 }];
  const parts = [...counted, ...figures, ...behind];
  return { responseKey, reward, value: parts.reduce((sum, { value, weight }) => sum + weight * value, 0), parts };
}

const asFigure = (part: ScorePart): ScorePart => ({ ...part, weight: 0 });

/** The value of a component within its bounds. With bounds, the value within them is a part of its own, and the others are figures. */
function clipped(share: Share, parts: readonly ScorePart[]): Said {
  const value = parts.reduce((sum, part) => (part.weight === 0 ? sum : sum + part.weight * part.value), 0);
  if (share.clip === undefined || Number.isNaN(value)) return { share, value, parts };
  const [low, high] = share.clip;
  const within = Math.min(Math.max(value, low), high);
  const clip = { name: `${share.component.name}:clipped`, value: within, weight: 1 };
  return { share, value: within, parts: [...parts.map(asFigure), clip] };
}
