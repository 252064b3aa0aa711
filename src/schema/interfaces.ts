import type { Finish, Message, Prompt, ResponseExtras, Sampling, Score } from "./records.ts";

/** The responses still missing for one prompt. */
export interface SampleRequest {
  readonly promptId: string;
  readonly messages: readonly Message[];
  readonly indices: readonly number[];
}

export interface SampledResponse {
  readonly promptId: string;
  readonly index: number;
  readonly text: string;
  readonly finish: Finish;
  readonly promptTokens: number;
  readonly responseTokens: number;
  readonly extras?: ResponseExtras;
}

/** A response that could not be had: kept and named, never replaced by a default. */
export interface SampleFailure {
  readonly promptId: string;
  readonly index: number;
  readonly failure: string;
}

export type SampleOutcome = SampledResponse | SampleFailure;

/** A list, or what gives its items as they are asked for: a run's requests need not be in memory together. */
export type AnyIterable<T> = Iterable<T> | AsyncIterable<T>;

/** Anything that answers prompts: an embedded model, an endpoint, a file of recorded responses. */
export interface Source {
  readonly name: string;
  /** What decides its answers (model digest, or endpoint and model name): part of every content key. */
  readonly identity: string;
  /** Yields each outcome as soon as it is there, in any order. Stops early when `signal` aborts. */
  sample(requests: AnyIterable<SampleRequest>, sampling: Sampling, signal: AbortSignal): AsyncIterable<SampleOutcome>;
  /** Frees what the source holds (weights, sockets). */
  close(): Promise<void>;
}

/** What a reward sees of a response. */
export interface ScoreRequest {
  readonly responseKey: string;
  readonly prompt: Prompt;
  readonly text: string;
  /** Responses to the same prompt, this one perhaps among them, for what compares them. */
  readonly rivals?: readonly { readonly key: string; readonly text: string }[];
}

export interface ScoreFailure {
  readonly responseKey: string;
  readonly failure: string;
}

/** Gives each response a number; higher is better. */
export interface RewardModel {
  /** Stands beside every figure: which reward gave it. */
  readonly name: string;
  readonly identity: string;
  /** Whether a part of it compares a response with its rivals, and so tells nothing of one without. */
  readonly comparing?: boolean;
  score(requests: readonly ScoreRequest[], signal: AbortSignal): AsyncIterable<Score | ScoreFailure>;
  close(): Promise<void>;
}
