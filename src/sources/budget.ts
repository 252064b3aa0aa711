import { type PriceRecipe, SourceError } from "../schema/index.ts";

/** Tokens that were sent to models and came from them, and what they cost. */
export interface Spending {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly money: number;
}

export interface BudgetLimits {
  readonly money?: number | undefined;
  /** Of input and output together. */
  readonly tokens?: number | undefined;
}

/** The next call might cross the budget. Nothing helps but a person. */
export class BudgetError extends SourceError {}

/** What one call may come to at most, until it is settled. */
export interface Reservation {
  /** The call came to so much; without figures, to all that was reserved. Counts once. */
  settle(actual?: Pick<Spending, "inputTokens" | "outputTokens">): void;
}

/** What several endpoints may spend together. */
export interface Budget {
  readonly limits: BudgetLimits;
  /** What was spent: of calls under way nothing yet. */
  spent(): Spending;
  /** What the calls under way may come to at most: `nothingSpent` where there are none. */
  held(): Spending;
  /**
   * Sets aside what a call may come to at most. Where there is not enough, waits for the calls under way: they may leave
   * something of what they set aside, and an error would end them although they are paid. Throws BudgetError when there
   * is not enough without any, and the signal's reason.
   */
  reserve(
    most: Pick<Spending, "inputTokens" | "outputTokens">,
    price: PriceRecipe | undefined,
    signal: AbortSignal,
  ): Promise<Reservation>;
}

export const nothingSpent: Spending = { inputTokens: 0, outputTokens: 0, money: 0 };

/**
 * A budget of which `before` was spent already: spent and reserved together never cross it. `note` is waited for before a
 * reservation is given: it may write down what is held, for the case that the process is killed.
 */
export function openBudget(limits: BudgetLimits, before: Spending, note?: (budget: Budget) => Promise<void>): Budget {
  let spent = before;
  let held = nothingSpent;
  const waiting = new Set<() => void>();

  const within = (spending: Spending): boolean =>
    spending.money <= (limits.money ?? Number.POSITIVE_INFINITY) &&
    spending.inputTokens + spending.outputTokens <= (limits.tokens ?? Number.POSITIVE_INFINITY);

  const used = (): string => {
    const tokens = spent.inputTokens + spent.outputTokens;
    const money = limits.money === undefined ? [] : [`${spent.money.toFixed(4)} of ${limits.money} in money`];
    return [...money, ...(limits.tokens === undefined ? [] : [`${tokens} of ${limits.tokens} tokens`])].join(", ");
  };

  const budget: Budget = {
    limits,
    spent: () => spent,
    held: () => held,
    async reserve(most, price, signal) {
      const cost = costOf(most, price);
      while (!within(sum(sum(spent, held), cost))) {
        if (isNothing(held))
          throw new BudgetError(`the budget is used up: ${used()}, and the next call may cross it`, {
            field: "budget",
            hint: "Raise the budget in the recipe and run again: what is in the ledger is kept, and counted as spent.",
          });
        await settled(waiting, signal);
      }
      held = sum(held, cost);
      let open = true;
      const close = (came: Spending): void => {
        if (!open) return;
        open = false;
        held = sum(held, negative(cost));
        // Of money, sums and differences leave a trace.
        if (isNothing(held)) held = nothingSpent;
        spent = sum(spent, came);
        for (const wake of [...waiting]) wake();
      };
      try {
        await note?.(budget);
      } catch (error) {
        close(nothingSpent);
        throw error;
      }
      return { settle: (actual) => close(actual === undefined ? cost : costOf(actual, price)) };
    },
  };
  return budget;
}

const million = 1e6;

function costOf(
  { inputTokens, outputTokens }: Pick<Spending, "inputTokens" | "outputTokens">,
  { input, output }: PriceRecipe = { input: 0, output: 0 },
): Spending {
  return { inputTokens, outputTokens, money: (inputTokens * input + outputTokens * output) / million };
}

export const sum = (a: Spending, b: Spending): Spending => ({
  inputTokens: a.inputTokens + b.inputTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  money: a.money + b.money,
});

export const negative = ({ inputTokens, outputTokens, money }: Spending): Spending => ({
  inputTokens: -inputTokens,
  outputTokens: -outputTokens,
  money: -money,
});

/** More of anything than the other. */
export const exceeds = (a: Spending, b: Spending): boolean =>
  a.inputTokens > b.inputTokens || a.outputTokens > b.outputTokens || a.money > b.money;

const isNothing = ({ inputTokens, outputTokens }: Spending): boolean => inputTokens + outputTokens === 0;

/** Waits until a call is settled. */
async function settled(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const wake = (): void => {
      waiting.delete(wake);
      signal.removeEventListener("abort", leave);
      resolve();
    };
    const leave = (): void => {
      waiting.delete(wake);
      reject(signal.reason);
    };
    waiting.add(wake);
    signal.addEventListener("abort", leave, { once: true });
  });
}
