import { hostname } from "node:os";
import { z } from "zod";
import { type EndpointRecipe, type Recipe, RecipeError } from "../schema/index.ts";
import { type Budget, exceeds, negative, nothingSpent, openBudget, type Spending, sum } from "../sources/index.ts";
import type { Run } from "./run.ts";

const spendingSchema = z.object({ inputTokens: z.number(), outputTokens: z.number(), money: z.number() });
const storedSchema = z.object({
  ...spendingSchema.shape,
  /** What a killed process may have spent besides, as nobody knows what became of its calls. */
  underWay: spendingSchema.default(nothingSpent),
});

/** What the endpoints of a run have spent, as the ledger has it. */
export interface SpendingAccount {
  readonly budget: Budget;
  /** Writes what was spent since into the ledger: before the responses that it was spent on. */
  save(): Promise<void>;
}

type Placed = readonly [field: string, endpoint: Pick<EndpointRecipe, "price">];

/** The endpoints among these entries of a recipe, with where they stand. */
export const endpointsAmong = (entries: readonly (readonly [field: string, entry: object])[]): Placed[] =>
  entries.flatMap(([field, entry]): Placed[] =>
    "endpoint" in entry ? [[`${field}.endpoint`, entry.endpoint as Placed[1]]] : [],
  );

/** The endpoints of a recipe: its sources and judges. */
const endpointsOf = ({ sources, rewards }: Recipe): Placed[] =>
  endpointsAmong([
    ...sources.map((source, index) => [`sources.${index}`, source] as const),
    ...rewards.map((reward, index) => [`rewards.${index}`, reward] as const),
  ]);

/** The budget of a run, as `openAccount` opens it. */
export const spendingAccount = ({ recipe, ledger, listener }: Run): Promise<SpendingAccount | undefined> =>
  openAccount(recipe.budget, endpointsOf(recipe), { ledger, listener });

/**
 * A budget, less what earlier attempts have spent; undefined where there is neither budget nor price. One is open at a time.
 *
 * @throws RecipeError where there is a budget in money and an endpoint has no price, or a budget on a shared ledger.
 */
export async function openAccount(
  limits: Recipe["budget"],
  endpoints: readonly Placed[],
  { ledger, listener }: Pick<Run, "ledger" | "listener">,
): Promise<SpendingAccount | undefined> {
  const { money, tokens } = limits;
  if (money !== undefined) requirePrices(endpoints);
  const priced = endpoints.some(([, { price }]) => price !== undefined);
  if (money === undefined && tokens === undefined && !priced) return undefined;
  if (ledger.shared && (money !== undefined || tokens !== undefined))
    throw new RecipeError("a budget is kept by one process, and several may work on a shared ledger", {
      field: "budget",
      hint: "Take the budget out of the recipe and set it at the provider, or take `ledger` out.",
    });
  // Of a shared ledger, each run folder keeps what it has spent itself.
  const entry = ledger.shared ? `spent by ${hostname()} in ${ledger.folder}` : "spent";
  const stored = await ledger.meta.get(entry);
  const { underWay, ...known } = storedSchema.parse(
    stored === undefined ? nothingSpent : (JSON.parse(stored) as unknown),
  );
  const before = sum(known, underWay);
  if (exceeds(underWay, nothingSpent)) {
    await ledger.meta.set(entry, JSON.stringify(before));
    listener.notice(`counted as spent, as a process was killed over these calls: ${spendingWords(underWay)}`);
  }
  let saved = before;
  /** What may be spent beside `saved`, as the ledger has it: the most that it came to. */
  let noted = nothingSpent;
  let writing = Promise.resolve();

  const write = (budget: Budget): Promise<void> => {
    saved = budget.spent();
    if (budget.held() === nothingSpent) noted = nothingSpent;
    const text = JSON.stringify(noted === nothingSpent ? saved : { ...saved, underWay: noted });
    writing = writing.then(() => ledger.meta.set(entry, text));
    return writing;
  };

  /** Before a call: what it may come to is in the ledger. */
  const note = (budget: Budget): Promise<void> => {
    const open = sum(budget.held(), sum(budget.spent(), negative(saved)));
    if (!exceeds(open, noted)) return writing;
    noted = mostOf(open, noted);
    return write(budget);
  };
  const limited = money !== undefined || tokens !== undefined;
  const budget = openBudget(limits, before, limited ? note : undefined);
  return {
    budget,
    async save() {
      if (budget.spent() !== saved || (noted !== nothingSpent && budget.held() === nothingSpent)) await write(budget);
    },
  };
}

const mostOf = (a: Spending, b: Spending): Spending => ({
  inputTokens: Math.max(a.inputTokens, b.inputTokens),
  outputTokens: Math.max(a.outputTokens, b.outputTokens),
  money: Math.max(a.money, b.money),
});

function requirePrices(endpoints: readonly Placed[]): void {
  const unpriced = endpoints.find(([, { price }]) => price === undefined);
  if (unpriced === undefined) return;
  throw new RecipeError("the budget is in money, and this endpoint has no price", {
    field: `${unpriced[0]}.price`,
    hint: "Write what a million tokens cost there: price: {input: 2.5, output: 10}. A budget in tokens needs none.",
  });
}

/** What was spent, in words. */
export function spendingWords({ inputTokens, outputTokens, money }: Spending): string {
  const cost = money === 0 ? "" : `, ${money.toFixed(4)} in money`;
  return `${inputTokens} tokens of prompts and ${outputTokens} of responses${cost}`;
}
