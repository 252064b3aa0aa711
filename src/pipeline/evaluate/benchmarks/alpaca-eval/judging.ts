import { z } from "zod";
import {
  draw,
  forModel,
  isSwitched,
  labelIn,
  labels,
  preferenceOf,
  type TokenLogProb,
} from "../../../../evaluation/index.ts";
import { embeddedFirstToken, endpointFirstToken, type FirstTokenReader } from "../../../../rewards/index.ts";
import { type BenchmarkRecipeOf, contentKey, type Message, RecipeError } from "../../../../schema/index.ts";
import type { Answering, Evaluation } from "../../evaluation.ts";
import { tellExpectedCost } from "../../expected-cost.ts";
import { type Outcome, remembered } from "../../remembered.ts";
import type { JudgePrompt } from "./prompt.ts";

/** A model's output beside the baseline's. */
export interface Comparison {
  readonly instruction: string;
  readonly baseline: string;
  readonly model: string;
}

const judgementSchema = z.object({
  /** What the judge wrote. */
  said: z.string(),
  /** The most probable tokens in the place of its first one. A label that it wrote without log-probs stands alone, with certainty. */
  tokens: z.array(z.object({ token: z.string(), logprob: z.number() })),
});
/** What a judge said of two outputs, in the order in which it saw them. */
export type Judgement = z.infer<typeof judgementSchema>;

export type Verdict =
  /** Of 1..2, 2 where the model's output is better. Outputs that are alike are a draw, and nobody is asked. */
  { readonly preference: number; readonly judgement?: Judgement } | { readonly failure: string };

/** How AlpacaEval asks, so far as a server is asked: one token at temperature 1, with the 5 most probable ones. */
const asking = { top: 5, temperature: 1 };

/** A label is one token; the rest is for judges that think first. */
const writing = { temperature: 0, top_p: 1, top_k: 0, max_tokens: 1024, stop: [] };

const hint =
  "AlpacaEval reads the log-probs of the judge's first token. Take a server and model that give them (`logprobs` with `top_logprobs: 5`), `preference: written` in the benchmark, which takes the label that it writes and is never official, or a judge on this machine: `model` in place of `endpoint`.";

/** Rises with every change of how a judge is asked or read. */
const judgingVersion = 1;

/**
 * The judge's verdict on each comparison; what it said before is not asked for again. An answer that can't be read is a failure, and
 * asked for anew by the next call.
 *
 * @throws SourceError where the judge gives no log-probs, or can't be reached at all; RecipeError, ModelError for a model on this machine
 * that can't be read; Interrupted on an abort
 */
export async function judged(
  evaluation: Evaluation,
  { name, preference }: Pick<BenchmarkRecipeOf<"alpaca_eval">, "name" | "preference">,
  judge: Answering,
  prompt: JudgePrompt,
  comparisons: readonly Comparison[],
): Promise<Verdict[]> {
  const { identity } = judge.source;
  const asked = comparisons.filter(({ baseline, model }) => baseline !== model);
  const questions = asked.map(({ instruction, baseline, model }) => {
    const [first, second] = isSwitched(instruction) ? [model, baseline] : [baseline, model];
    return { messages: prompt.messages({ instruction, first, second }), group: instruction };
  });
  const label = `${name}, judged by ${judge.name}`;
  const said = await remembered<Judgement>(evaluation, {
    owner: identity,
    label,
    unit: "judgements",
    keys: questions.map(({ messages }) =>
      contentKey({ kind: "alpaca_eval", version: judgingVersion, identity, messages, preference }),
    ),
    schema: judgementSchema,
    work: (missing, signal) => {
      const some = missing.map((at) => questions[at]!);
      const maxTokens = preference === "logprobs" ? 1 : writing.max_tokens;
      tellExpectedCost(
        evaluation,
        label,
        judge.source,
        some.map(({ messages }) => ({ messages, maxTokens })),
      );
      const outcomes =
        preference === "logprobs"
          ? readTokens(openReader(evaluation, judge), some, signal)
          : readLabels(evaluation, judge, some, signal);
      return placed(outcomes, missing);
    },
  });
  const of = new Map(asked.map((comparison, at) => [comparison, said[at]!]));
  return comparisons.map((comparison): Verdict => {
    const judgement = of.get(comparison);
    if (judgement === undefined) return { preference: draw };
    if ("failure" in judgement) return judgement;
    return { preference: forModel(preferenceOf(judgement.tokens)!, isSwitched(comparison.instruction)), judgement };
  });
}

interface Question {
  readonly messages: readonly Message[];
  readonly group: string;
}

async function* placed(
  outcomes: AsyncIterable<Outcome<Judgement>>,
  places: readonly number[],
): AsyncGenerator<Outcome<Judgement>> {
  for await (const outcome of outcomes) yield { ...outcome, index: places[outcome.index]! };
}

function openReader({ account, listener }: Evaluation, { name, embedded, endpoint }: Answering): FirstTokenReader {
  const field = "judge";
  if (embedded !== undefined) return embeddedFirstToken(embedded.files, embedded.recipe, labels, field);
  if (endpoint === undefined) throw new RecipeError(`${name} can't be asked`, { field });
  return endpointFirstToken(
    endpoint,
    { ...asking, field, hint },
    {
      notice: (text) => listener.notice(`judge ${name}, ${text}`),
      ...(account === undefined ? {} : { budget: account.budget }),
    },
  );
}

async function* readTokens(
  reader: FirstTokenReader,
  questions: readonly Question[],
  signal: AbortSignal,
): AsyncGenerator<Outcome<Judgement>> {
  try {
    for await (const outcome of reader.read(questions, signal)) {
      if ("failure" in outcome) {
        yield outcome;
        continue;
      }
      const { index, said, tokens } = outcome;
      // JSON has no minus infinity, and to be missing means the same.
      const value = { said, tokens: tokens.filter(({ logprob }) => logprob !== Number.NEGATIVE_INFINITY) };
      yield preferenceOf(tokens) === null ? { index, failure: unread(said, tokens) } : { index, value };
    }
  } finally {
    await reader.close();
  }
}

function unread(said: string, tokens: readonly TokenLogProb[]): string {
  const wrote = `the judge said ${shortened(said)}`;
  return tokens.some(({ token }) => labels.some((label) => label === token))
    ? `the log-probs of the judge's answer are none; ${wrote}`
    : `neither m nor M is among the ${tokens.length} most probable tokens; ${wrote}`;
}

const shortened = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

async function* readLabels(
  { seed }: Evaluation,
  { source }: Answering,
  questions: readonly Question[],
  signal: AbortSignal,
): AsyncGenerator<Outcome<Judgement>> {
  const opened = await source.open();
  try {
    const requests = questions.map(({ messages }, at) => ({ promptId: `${at}`, messages, indices: [0] }));
    for await (const outcome of opened.sample(requests, { ...writing, seed }, signal)) {
      const index = Number(outcome.promptId);
      if ("failure" in outcome) {
        yield { index, failure: outcome.failure };
        continue;
      }
      const said = outcome.text.trim();
      const label = labelIn(said);
      yield label === null
        ? { index, failure: `the judge wrote neither m nor M alone: ${shortened(said)}` }
        : { index, value: { said, tokens: [{ token: label, logprob: 0 }] } };
    }
  } finally {
    await opened.close();
  }
}
