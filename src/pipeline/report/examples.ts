import { contentKey, type Message } from "../../schema/index.ts";
import type { LedgerReader, StoredPrompt } from "../../store/index.ts";
import type { HeldOut, HeldOutResponse } from "./held-out.ts";

export interface ExampleResponse extends Omit<HeldOutResponse, "key"> {
  readonly text: string;
  /** Mean reward of all this model's responses to the prompt, and how many there are. */
  readonly meanReward: number;
  readonly responses: number;
}

/** One held-out prompt with a response of the untuned and one of the fused model. */
export interface Example {
  readonly kind: "gained" | "lost" | "typical";
  readonly promptId: string;
  readonly messages: readonly Message[];
  /** Mean reward of the fused model minus that of the baseline on this prompt. */
  readonly difference: number;
  readonly beforeLabel: string;
  readonly before: ExampleResponse;
  readonly afterLabel: string;
  readonly after: ExampleResponse;
}

/** Of each kind at most. */
const examplesEach = 2;

interface Pair {
  readonly prompt: StoredPrompt;
  readonly before: readonly HeldOutResponse[];
  readonly after: readonly HeldOutResponse[];
  readonly difference: number;
  readonly lot: string;
}

/**
 * The prompts where `fused` gained most against `baseline`, where it lost most, and those whose difference is nearest to
 * the median of all differences. Among equals a digest of the id decides, so that nobody picked them. The response shown
 * is the one whose reward is nearest to the model's mean on that prompt.
 */
export async function pickExamples(
  reader: Pick<LedgerReader, "responses">,
  prompts: readonly StoredPrompt[],
  heldOut: ReadonlyMap<string, HeldOut>,
  baseline: string,
  fused: string,
): Promise<Example[]> {
  const pairs = pairsOf(prompts, heldOut.get(baseline), heldOut.get(fused));
  const picked = [...ofKind("gained", pairs), ...ofKind("lost", pairs)];
  const others = pairs.filter((pair) => !picked.some(({ pair: taken }) => taken === pair));
  const median = medianOf(pairs.map(({ difference }) => difference));
  const typical = sorted(others, ({ difference }) => Math.abs(difference - median)).slice(0, examplesEach);
  const all = [...picked, ...typical.map((pair) => ({ kind: "typical" as const, pair }))].map(({ kind, pair }) => {
    return { kind, pair, before: nearestToMean(pair.before), after: nearestToMean(pair.after) };
  });
  const texts = await reader.responses.texts(
    all.flatMap(({ pair, before, after }) => [before, after].map(({ key }) => ({ promptId: pair.prompt.id, key }))),
  );
  const shown = ({ key, ...response }: HeldOutResponse, of: readonly HeldOutResponse[]): ExampleResponse => {
    return { ...response, text: texts.get(key)!, meanReward: meanValue(of), responses: of.length };
  };
  return all.map(({ kind, pair, before, after }) => ({
    kind,
    promptId: pair.prompt.id,
    messages: pair.prompt.messages,
    difference: pair.difference,
    beforeLabel: baseline,
    before: shown(before, pair.before),
    afterLabel: fused,
    after: shown(after, pair.after),
  }));
}

function pairsOf(prompts: readonly StoredPrompt[], before: HeldOut | undefined, after: HeldOut | undefined): Pair[] {
  return prompts.flatMap((prompt) => {
    const a = before?.get(prompt.id);
    const b = after?.get(prompt.id);
    if (a === undefined || b === undefined) return [];
    return [{ prompt, before: a, after: b, difference: meanValue(b) - meanValue(a), lot: contentKey(prompt.id) }];
  });
}

function ofKind(kind: "gained" | "lost", pairs: readonly Pair[]) {
  const sign = kind === "gained" ? 1 : -1;
  const moved = pairs.filter(({ difference }) => difference * sign > 1e-9);
  return sorted(moved, ({ difference }) => -difference * sign)
    .slice(0, examplesEach)
    .map((pair) => ({ kind, pair }));
}

const sorted = (pairs: readonly Pair[], rank: (pair: Pair) => number): Pair[] =>
  [...pairs].sort((a, b) => rank(a) - rank(b) || (a.lot < b.lot ? -1 : 1));

function nearestToMean(responses: readonly HeldOutResponse[]): HeldOutResponse {
  const mean = meanValue(responses);
  return responses.reduce((near, response) =>
    Math.abs(response.value - mean) < Math.abs(near.value - mean) - 1e-12 ? response : near,
  );
}

const meanValue = (responses: readonly HeldOutResponse[]): number =>
  responses.reduce((sum, { value }) => sum + value, 0) / responses.length;

function medianOf(values: readonly number[]): number {
  const ordered = [...values].sort((a, b) => a - b);
  const half = ordered.length >> 1;
  return ordered.length % 2 === 1 ? ordered[half]! : ((ordered[half - 1] ?? 0) + (ordered[half] ?? 0)) / 2;
}
