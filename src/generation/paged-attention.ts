import type { Attend, DecoderConfig } from "../models/index.ts";
import { hasKernels, native } from "../torch/index.ts";
import { gatheredAttention } from "./gathered-attention.ts";
import type { PageStore } from "./page-store.ts";
import { pageTokens } from "./pages.ts";

/** Tokens that one sequence brings to a step: `count` of them in a row of the flat batch, the first at `position` of its text. */
export interface Run {
  readonly count: number;
  readonly position: number;
  /** The pages of its text, these tokens included. */
  readonly pages: readonly number[];
}

/** Attention of a step: the tokens of all runs, one run after another, are stored in their pages and see their own text up to themselves. */
export function pagedAttention(config: DecoderConfig, store: PageStore, runs: readonly Run[]): Attend {
  if (!hasKernels(store[0]!.keys)) return gatheredAttention(config, store, runs);
  const { attentionScale: scale, attentionSoftcap: cap } = config;
  const { slots, queries, blocks, steps } = kernelPlan(runs, config.heads / config.keyValueHeads);
  return (layer, q, k, v) => {
    const { keys, values } = store[layer]!;
    const { window } = config.layers[layer]!;
    return native().attendPages(q, k, v, keys, values, slots, queries, blocks, steps, scale, window ?? 0, cap ?? 0);
  };
}

/** Rows of queries, one for each token and head of a group, that are computed together. */
const blockRows = 96;

interface KernelPlan {
  readonly slots: Int32Array;
  readonly queries: Int32Array;
  readonly blocks: Int32Array;
  readonly steps: Int32Array;
}

/**
 * What the kernel is asked for (see `attendPages`). Tokens of one run stand in blocks of their own. Single tokens of several runs stand
 * together in the order of their pages, so that those that share pages stand side by side and read each of them once.
 */
function kernelPlan(runs: readonly Run[], repeats: number): KernelPlan {
  const slots: number[] = [];
  const queries: number[] = [];
  const blocks: number[] = [];
  const steps: number[] = [];
  const together = Math.max(1, Math.floor(blockRows / repeats));
  const singles: { readonly token: number; readonly run: Run }[] = [];

  for (const run of runs) {
    const first = slots.length;
    for (let t = run.position; t < run.position + run.count; t++)
      slots.push(run.pages[Math.floor(t / pageTokens)]! * pageTokens + (t % pageTokens));
    if (run.count === 1) {
      singles.push({ token: first, run });
      continue;
    }
    for (let from = 0; from < run.count; from += together) {
      const count = Math.min(together, run.count - from);
      const firstStep = steps.length / 4;
      const last = run.position + from + count - 1;
      for (let k = 0; k * pageTokens <= last; k++) steps.push(0, count, run.pages[k]!, k * pageTokens);
      blocks.push(queries.length / 2, count, firstStep, steps.length / 4 - firstStep);
      for (let t = from; t < from + count; t++) queries.push(first + t, run.position + t);
    }
  }

  singles.sort((a, b) => comparePages(a.run.pages, b.run.pages));
  for (let from = 0; from < singles.length; from += together) {
    const some = singles.slice(from, from + together);
    const firstStep = steps.length / 4;
    sharedSteps(some, 0, some.length, 0);
    blocks.push(queries.length / 2, some.length, firstStep, steps.length / 4 - firstStep);
    for (const { token, run } of some) queries.push(token, run.position);

    /** Steps of the queries [begin, end), whose pages before the k-th are the same. */
    function sharedSteps(some: readonly { readonly run: Run }[], begin: number, end: number, k: number): void {
      let at = begin;
      while (at < end) {
        const page = some[at]!.run.pages[k];
        let next = at + 1;
        while (next < end && some[next]!.run.pages[k] === page) next++;
        if (page !== undefined && k * pageTokens <= some[at]!.run.position) {
          steps.push(at, next, page, k * pageTokens);
          sharedSteps(some, at, next, k + 1);
        }
        at = next;
      }
    }
  }
  return {
    slots: Int32Array.from(slots),
    queries: Int32Array.from(queries),
    blocks: Int32Array.from(blocks),
    steps: Int32Array.from(steps),
  };
}

/** By the first page that differs; those that have ended first. */
function comparePages(a: readonly number[], b: readonly number[]): number {
  for (let k = 0; k < a.length && k < b.length; k++) if (a[k] !== b[k]) return a[k]! - b[k]!;
  return a.length - b.length;
}
