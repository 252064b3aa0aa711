import { type Decoder, hiddenStates } from "../models/index.ts";
import type { Finish } from "../schema/index.ts";
import { noGrad, scope, type Tensor, tensor } from "../torch/index.ts";
import type { Response, Submission } from "./engine.ts";
import { tokenLogProbs } from "./log-probs.ts";
import { copyPages, type PageStore } from "./page-store.ts";
import { pagedAttention } from "./paged-attention.ts";
import { type Draw, sampleTokens } from "./sampler.ts";
import type { Scheduler, Work } from "./scheduler.ts";
import { attendFirst, fillingOf, logitsOf } from "./step-sizes.ts";

/** Rows whose logits are held at once. */
const logitRows = 512;

interface StepResult {
  /** Tokens. */
  readonly drawn: number;
  /** Requests whose constraint can't be followed, and why. */
  readonly failures: ReadonlyMap<Submission, unknown>;
}

interface Wanted {
  readonly response: Response;
  /** Of the hidden states. */
  readonly row: number;
  readonly allowed: Uint32Array | undefined;
}

/**
 * One forward pass over the work of all sequences: prompts, or parts of them, beside single tokens of responses. Sequences whose
 * text is computed to its end draw their next token. Tells the events and books everything.
 */
export function computeStep(
  model: Decoder,
  store: PageStore,
  scheduler: Scheduler<Response>,
  work: readonly Work<Response>[],
): StepResult {
  return noGrad(() =>
    scope(() => {
      const { device } = store[0]!.keys;
      const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
      const runs = work.map(({ sequence, count }) => ({ count, position: sequence.computed, pages: sequence.pages }));
      const tokens = work.flatMap(({ sequence: { tokens, computed }, count }) =>
        tokens.slice(computed, computed + count),
      );
      const positions = runs.flatMap(({ position, count }) => Array.from({ length: count }, (_, k) => position + k));
      const count = tokens.length;
      const filling = fillingOf(store[0]!.keys, count);
      const fill = (values: readonly number[]) => int64([...values, ...Array<number>(filling).fill(0)]);
      const attend = attendFirst(pagedAttention(model.config, store, runs), count, filling);
      const hidden = hiddenStates(model, fill(tokens), fill(positions), attend);

      const drawing: { response: Response; row: number }[] = [];
      const computedPrompts: Response[] = [];
      let at = 0;
      for (const item of work) {
        const { sequence, count } = item;
        const first = sequence.computed;
        tellPrompt(model, sequence, hidden.narrow(0, at, count), first);
        scheduler.computed(item);
        at += count;
        if (sequence.computed < sequence.tokens.length) continue;
        if (sequence.tokens.length === sequence.promptLength) computedPrompts.push(sequence);
        for (const response of [sequence, ...sequence.followers]) drawing.push({ response, row: at - 1 });
      }
      const failures = new Map<Submission, unknown>();
      const wanting = drawing.flatMap(({ response, row }) => {
        const { submission, constraint } = response;
        if (submission.request.maxTokens === 0) return [];
        try {
          return [{ response, row, allowed: constraint?.allowed() }];
        } catch (error) {
          failures.set(submission, error);
          return [];
        }
      });
      for (let from = 0; from < wanting.length; from += logitRows) {
        const some = wanting.slice(from, from + logitRows);
        scope(() => {
          const logits = logitsOf(model, hidden.index_select(0, int64(some.map(({ row }) => row))));
          draw(logits, some);
        });
      }
      const ended = new Set(drawing.flatMap(({ response }) => (tellEnd(response) ? [response] : [])));
      const copies: [number, number][] = [];
      for (const leader of computedPrompts) {
        const followers = leader.followers.filter((follower) => !ended.has(follower));
        leader.followers = [];
        copies.push(...scheduler.fork(leader, followers));
      }
      if (copies.length > 0) copyPages(store, copies);
      for (const response of ended) scheduler.remove(response);
      return { drawn: wanting.length, failures };
    }),
  );
}

/** Log-probs of the prompt's tokens that hidden states of the tokens from `first` on predict; told when the last is known. */
function tellPrompt(
  model: Decoder,
  { submission, promptLength, tokens, index }: Response,
  hidden: Tensor,
  first: number,
) {
  const { request, events } = submission;
  if (index > 0 || submission.promptTold) return;
  const end = first + hidden.shape[0]!;
  if (request.promptLogProbs === true) {
    if (first === 0) submission.promptLogProbs = [null];
    const last = Math.min(end, promptLength - 1);
    for (let from = first; from < last; from += logitRows) {
      const count = Math.min(logitRows, last - from);
      const logits = logitsOf(model, hidden.narrow(0, from - first, count));
      const following = tokens.slice(from + 1, from + 1 + count);
      submission.promptLogProbs.push(
        ...tokenLogProbs(
          logits,
          following,
          following.map(() => request.topLogProbs ?? 0),
        ),
      );
      logits.dispose();
    }
  }
  if (end < promptLength) return;
  submission.promptTold = true;
  events.push({ kind: "prompt", logProbs: submission.promptLogProbs });
}

/** Draws a token for each response from its row of logits, and tells it. */
function draw(logits: Tensor, wanted: readonly Wanted[]): void {
  const responses = wanted.map(({ response }) => response);
  const draws = wanted.map(
    ({
      response: {
        submission: { request },
        index,
        ids,
      },
      allowed,
    }): Draw => {
      const { sampler, prompt, streams, minTokens = 0, endIds } = request;
      return {
        settings: sampler,
        uniform: streams[index]!.uniform(ids.length),
        prompt,
        ids,
        // What must look like something may have to end.
        ...(ids.length < minTokens && allowed === undefined ? { banned: endIds } : {}),
        ...(allowed === undefined ? {} : { allowed }),
      };
    },
  );
  const chosen = sampleTokens(logits, draws);
  const telling = responses.flatMap(({ submission }, row) =>
    submission.request.topLogProbs === undefined ? [] : [row],
  );
  const logProbs =
    telling.length === 0
      ? []
      : tokenLogProbs(
          logits.index_select(0, tensor(telling, [telling.length], "int64").to(logits.device, "int64")),
          telling.map((row) => chosen[row]!),
          telling.map((row) => responses[row]!.submission.request.topLogProbs!),
        );
  const logProbOf = new Map(telling.map((row, k) => [row, logProbs[k]!]));
  for (const [row, response] of responses.entries()) {
    const id = chosen[row]!;
    const { submission, ids, tokens, index } = response;
    ids.push(id);
    const logProb = logProbOf.get(row);
    if (submission.request.endIds.has(id)) {
      response.ending = logProb;
      continue;
    }
    tokens.push(id);
    response.constraint?.accept(id);
    submission.events.push({ kind: "token", response: index, id, ...(logProb === undefined ? {} : { logProb }) });
  }
}

/** Whether the response has ended with its last token; tells so. */
function tellEnd(response: Response): boolean {
  const finish = finishOf(response);
  if (finish === undefined) return false;
  const { submission, index, ending } = response;
  submission.events.push({ kind: "end", response: index, finish, ...(ending === undefined ? {} : { ending }) });
  submission.open.delete(response);
  return true;
}

function finishOf({ submission: { request }, ids, stops }: Response): Finish | undefined {
  const last = ids.at(-1);
  if (last !== undefined) {
    if (request.endIds.has(last)) return "stop";
    if (stops(last) && ids.length >= (request.minTokens ?? 0)) return "stop";
  }
  return ids.length >= request.maxTokens ? "length" : undefined;
}
