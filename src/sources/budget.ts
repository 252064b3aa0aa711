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

/** A budget of which `before` was spent already: spent and reserved together never cross it. */
export function openBudget(limits: BudgetLimits, before: Spending): Budget {
  let spent = before;
  let held: Spending = { inputTokens: 0, outputTokens: 0, money: 0 };
  const waiting = new Set<() => void>();

  const within = (spending: Spending): boolean =>
    spending.money <= (limits.money ?? Number.POSITIVE_INFINITY) &&
    spending.inputTokens + spending.outputTokens <= (limits.tokens ?? Number.POSITIVE_INFINITY);

  const used = (): string => {
    const tokens = spent.inputTokens + spent.outputTokens;
    const money = limits.money === undefined ? [] : [`${spent.money.toFixed(4)} of ${limits.money} in money`];
    return [...money, ...(limits.tokens === undefined ? [] : [`${tokens} of ${limits.tokens} tokens`])].join(", ");
  };

  return {
    limits,
    spent: () => spent,
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
      return {
        settle(actual) {
          if (!open) return;
          open = false;
          held = sum(held, negative(cost));
          spent = sum(spent, actual === undefined ? cost : costOf(actual, price));
          for (const wake of [...waiting]) wake();
        },
      };
    },
  };
}

const million = 1e6;

function costOf(
  { inputTokens, outputTokens }: Pick<Spending, "inputTokens" | "outputTokens">,
  { input, output }: PriceRecipe = { input: 0, output: 0 },
): Spending {
  return { inputTokens, outputTokens, money: (inputTokens * input + outputTokens * output) / million };
}

const sum = (a: Spending, b: Spending): Spending => ({
  inputTokens: a.inputTokens + b.inputTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  money: a.money + b.money,
});

const negative = ({ inputTokens, outputTokens, money }: Spending): Spending => ({
  inputTokens: -inputTokens,
  outputTokens: -outputTokens,
  money: -money,
});

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
