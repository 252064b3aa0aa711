import { type Message, RecipeError, type Sampling } from "../../../../schema/index.ts";
import { answered, ask } from "../../asking.ts";
import type { Answering, Evaluation } from "../../evaluation.ts";

export interface JudgeQuestion {
  readonly id: string;
  readonly messages: readonly Message[];
}

/** A verdict in a judge's words, or why there is none. */
export type Reading<Verdict> = { readonly verdict: Verdict } | { readonly fault: string; readonly final?: boolean };

export interface Judgement<Verdict> {
  readonly verdict: Verdict | null;
  /** All that the judge said, of several attempts one after the other. */
  readonly words: string;
  /** At which attempt it came, or how many there were. */
  readonly attempts: number;
  /** Why there is no verdict. */
  readonly fault?: string;
}

export interface Judging<Verdict> {
  readonly label: string;
  readonly judge: Answering;
  readonly sampling: Sampling;
  /** How often a judge is asked until its words have a verdict. */
  readonly attempts: number;
  /** Whether what had no verdict after all attempts is asked anew by the next call, which the official tools don't. */
  readonly again: boolean;
  read(words: string): Reading<Verdict>;
}

const goOn =
  "You have not given your verdict yet. Finish your judgement now, and close with one of the verdicts in brackets.";

/**
 * What a judge says to each question. Words without a verdict are followed up: the judge is shown what it said and asked to finish; where it
 * said nothing, it is asked anew. What it can't be brought to say has no verdict; where an earlier call came to that, and `again` is so, it is
 * asked from the beginning once more. A model on this machine would say the same again and isn't.
 *
 * @throws what `ask` throws.
 */
export async function judgements<Verdict>(
  evaluation: Evaluation,
  questions: readonly JudgeQuestion[],
  judging: Judging<Verdict>,
): Promise<Judgement<Verdict>[]> {
  const found: Judgement<Verdict>[] = [];
  let open = questions.map((_, at) => at);
  for (let before = 0; open.length > 0; before += judging.attempts) {
    open = await round(evaluation, questions, judging, { open, before, found });
    if (!judging.again || judging.judge.endpoint === undefined) break;
  }
  return found;
}

interface Round<Verdict> {
  /** The questions that are asked, by their places. */
  readonly open: readonly number[];
  /** Attempts that were made before this round. */
  readonly before: number;
  /** What comes out, by the questions' places. */
  readonly found: Judgement<Verdict>[];
}

/** So many attempts at each question; gives those that an earlier call had made, to no verdict. */
async function round<Verdict>(
  evaluation: Evaluation,
  questions: readonly JudgeQuestion[],
  { label, judge, sampling, attempts, read }: Judging<Verdict>,
  { open: begun, before, found }: Round<Verdict>,
): Promise<number[]> {
  const said = new Map<number, string>();
  const old = new Set(begun);
  let open = begun;
  for (let attempt = 1; attempt <= attempts && open.length > 0; attempt += 1) {
    const asked = open.map((at) => {
      const { id, messages } = questions[at]!;
      const words = said.get(at) ?? "";
      const further: Message[] =
        words === ""
          ? []
          : [
              { role: "assistant", content: words },
              { role: "user", content: goOn },
            ];
      return { id, messages: [...messages, ...further], sampling, index: before + attempt - 1 };
    });
    const known = await answered(evaluation, judge.source, asked);
    const answers = await ask(evaluation, before + attempt === 1 ? label : `${label}, again`, judge.source, asked);
    const again: number[] = [];
    for (const [k, at] of open.entries()) {
      if (!known[k]!) old.delete(at);
      const answer = answers[k]!;
      const earlier = said.get(at) ?? "";
      if ("failure" in answer) {
        found[at] = { verdict: null, words: earlier, attempts: before + attempt, fault: answer.failure };
        continue;
      }
      const words = earlier === "" ? answer.text : `${earlier}\n${answer.text}`;
      said.set(at, words);
      const reading = read(words);
      if ("verdict" in reading) {
        found[at] = { verdict: reading.verdict, words, attempts: before + attempt };
        old.delete(at);
        continue;
      }
      const cut = answer.finish === "length" ? " before max_tokens ran out" : "";
      found[at] = { verdict: null, words, attempts: before + attempt, fault: `${reading.fault}${cut}` };
      if (reading.final !== true) again.push(at);
    }
    open = again;
  }
  return [...old];
}

/** How a judge is sampled from, and whether it is held to the form of its verdict. */
export interface JudgeForm {
  readonly sampling: Sampling;
  readonly constrained: boolean;
}

/**
 * `verdicts`: a regex of what its words end with. Throws RecipeError where a server is to be held to it.
 */
export function judgeForm(
  evaluation: Pick<Evaluation, "seed">,
  judge: Answering,
  {
    verdict,
    judge_max_tokens,
  }: { readonly verdict?: "free" | "constrained" | undefined; readonly judge_max_tokens?: number | undefined },
  verdicts: string,
  mostTokens: number,
): JudgeForm {
  const embedded = judge.endpoint === undefined;
  if (verdict === "constrained" && !embedded)
    throw new RecipeError("a server can't be held to the form of a verdict", {
      field: "verdict",
      hint: "Take `verdict: constrained` out, or let a model on this machine judge.",
    });
  const constrained = verdict === undefined ? embedded : verdict === "constrained";
  const sampling: Sampling = {
    temperature: 0,
    top_p: 1,
    top_k: 0,
    stop: [],
    seed: evaluation.seed,
    max_tokens: judge_max_tokens ?? mostTokens,
    ...(constrained ? { regex: `[^\\[\\]]{0,200}${verdicts}` } : {}),
  };
  return { sampling, constrained };
}

/** Reasons that are told one by one: a server's messages may all differ. */
const mostReasons = 5;

/** What judgements came to, for notes: how many have no verdict and why, and how many came late. */
export function judgementNotes(all: readonly Judgement<unknown>[], one: string, many: string): string[] {
  const faults = new Map<string, number>();
  for (const { fault } of all) if (fault !== undefined) faults.set(fault, (faults.get(fault) ?? 0) + 1);
  const missing = all.filter(({ verdict }) => verdict === null).length;
  const sorted = [...faults].sort(([, a], [, b]) => b - a);
  const others = sorted.slice(mostReasons).reduce((sum, [, times]) => sum + times, 0);
  const words = [
    ...sorted.slice(0, mostReasons).map(([fault, times]) => `${times} times: ${fault}`),
    ...(others === 0 ? [] : [`${others} times for other reasons`]),
  ];
  const late = all.filter(({ verdict, attempts }) => verdict !== null && attempts > 1).length;
  const counted = (count: number) => `${count} ${count === 1 ? one : many}`;
  return [
    ...(missing === 0
      ? []
      : [`${counted(missing)} of ${all.length} without a verdict, which count nowhere (${words.join("; ")})`]),
    ...(late === 0 ? [] : [`${counted(late)} got a verdict only when the judge was asked again`]),
  ];
}
