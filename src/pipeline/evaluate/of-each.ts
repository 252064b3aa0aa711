import type { Contestant, Evaluation } from "./evaluation.ts";

/**
 * What `work` makes of each model, in their order. Endpoints are asked at the same time, since each has a machine of its own; the others one
 * after another beside them. Where one fails the rest are stopped, what they have is stored, and its error is thrown.
 */
export async function ofEach<Result>(
  evaluation: Evaluation,
  contestants: readonly Contestant[],
  work: (evaluation: Evaluation, contestant: Contestant) => Promise<Result>,
): Promise<Result[]> {
  const failed = new AbortController();
  const shared = { ...evaluation, signal: AbortSignal.any([evaluation.signal, failed.signal]) };
  const errors: unknown[] = [];
  const found = new Map<Contestant, Result>();
  const inTurn = async (some: readonly Contestant[]): Promise<void> => {
    try {
      for (const contestant of some) found.set(contestant, await work(shared, contestant));
    } catch (error) {
      errors.push(error);
      failed.abort();
    }
  };
  const served = contestants.filter(({ answering }) => answering?.endpoint !== undefined);
  const others = contestants.filter((contestant) => !served.includes(contestant));
  await Promise.all([inTurn(others), ...served.map((one) => inTurn([one]))]);
  if (errors.length > 0) throw errors[0];
  return contestants.map((contestant) => found.get(contestant)!);
}
