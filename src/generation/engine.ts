import { setImmediate as nextTurn } from "node:timers/promises";
import type { Decoder } from "../models/index.ts";
import { computeType } from "../models/index.ts";
import { type Finish, RequestError } from "../schema/index.ts";
import { bytesOf } from "../torch/index.ts";
import type { Constraint } from "./constraint.ts";
import { type EventQueue, eventQueue } from "./event-queue.ts";
import type { TokenLogProb } from "./log-probs.ts";
import { createPages, disposePages, type PageStore, pageElements } from "./page-store.ts";
import { PagePool, pageTokens } from "./pages.ts";
import type { RandomStream } from "./random-stream.ts";
import type { SamplerSettings } from "./sampler.ts";
import { Scheduler, type Sequence } from "./scheduler.ts";
import { computeStep } from "./step.ts";

/** One prompt and the responses wanted for it. */
export interface EngineRequest {
  readonly prompt: readonly number[];
  /** One a response; they share the prompt's cache. */
  readonly streams: readonly RandomStream[];
  readonly sampler: SamplerSettings;
  /** Nothing ends a response before it has so many tokens. */
  readonly minTokens?: number;
  /** Most tokens a response may have; with 0 only the prompt is computed. */
  readonly maxTokens: number;
  /** Tokens that end a response; they are not part of it. */
  readonly endIds: ReadonlySet<number>;
  /** Made for each response and asked after each token: true ends the response there. */
  readonly stopper?: () => (id: number) => boolean;
  /** How many of the most probable tokens are told beside each token's log-prob; undefined: no log-probs. */
  readonly topLogProbs?: number;
  /** Log-probs of the prompt's own tokens. */
  readonly promptLogProbs?: boolean;
  /** Made for each response: what it may look like. */
  readonly constraint?: () => Constraint;
}

export type EngineEvent =
  /** The prompt is computed. Of its first token there is no log-prob. */
  | { readonly kind: "prompt"; readonly logProbs: readonly (TokenLogProb | null)[] }
  | { readonly kind: "token"; readonly response: number; readonly id: number; readonly logProb?: TokenLogProb }
  /** `ending` is the token that ended the response, where one did and log-probs were asked for. */
  | { readonly kind: "end"; readonly response: number; readonly finish: Finish; readonly ending?: TokenLogProb };

export interface EngineSettings {
  /** Most memory for keys and values. */
  readonly cacheBytes?: number;
  /** Most responses that advance together. */
  readonly rows?: number;
  /** Most prompt tokens that are computed in one step: whoever comes meanwhile waits for it. */
  readonly promptTokens?: number;
}

/** What an engine is doing, and has done since it was made. */
export interface EngineLoad {
  /** Responses. */
  readonly running: number;
  readonly waiting: number;
  /** Tokens that the cache has room for, and those of pages that somebody holds. */
  readonly cacheTokens: number;
  readonly cacheTokensUsed: number;
  readonly generatedTokens: number;
  readonly promptTokens: number;
  /** Tokens of prompts that were not computed, since another text began alike. */
  readonly prefixHitTokens: number;
  /** How often a response gave up its room to an earlier one. */
  readonly preemptions: number;
}

/** A request on its way. */
export interface Submission {
  readonly request: EngineRequest;
  readonly events: EventQueue<EngineEvent>;
  /** Its responses that have not ended. */
  readonly open: Set<Response>;
  promptLogProbs: (TokenLogProb | null)[];
  promptTold: boolean;
  /** Called when it has ended. */
  readonly ended: () => void;
}

export interface Response extends Sequence {
  readonly submission: Submission;
  readonly index: number;
  readonly ids: number[];
  readonly stops: (id: number) => boolean;
  readonly constraint: Constraint | undefined;
  /** Log-prob of the token that ended it. */
  ending: TokenLogProb | undefined;
  followers: Response[];
}

const defaultCacheBytes = 1.5 * 2 ** 30;
const defaultRows = 192;

/**
 * Samples responses of one model with continuous batching: requests come at any time and go when they end, their keys and values are
 * kept in pages, equal beginnings once, and memory stays below a budget. What a response is depends on its request alone.
 * The weights must stay as they are while it lives.
 */
export class Engine {
  readonly #model: Decoder;
  readonly #pool: PagePool;
  readonly #store: PageStore;
  readonly #scheduler: Scheduler<Response>;
  readonly #open = new Set<Submission>();
  #working: Promise<void> | undefined;
  #closed = false;
  #arrivals = 0;
  #generatedTokens = 0;
  #promptTokens = 0;

  /** @throws RequestError when the budget is below a page */
  constructor(
    model: Decoder,
    { cacheBytes = defaultCacheBytes, rows = defaultRows, promptTokens }: EngineSettings = {},
  ) {
    const { config } = model;
    const dtype = computeType(model, {});
    const fitting = Math.floor(cacheBytes / (pageElements(config) * bytesOf(dtype)));
    const useful = rows * Math.ceil(config.maxPositions / pageTokens);
    const pages = Math.min(fitting, useful);
    if (pages < 1)
      throw new RequestError(`${cacheBytes} bytes hold no keys and values of ${pageTokens} tokens`, {
        hint: "Give the cache more memory.",
      });
    this.#model = model;
    this.#pool = new PagePool(pages);
    this.#store = createPages(config, pages, dtype, model.parameters.get("model.embed_tokens.weight")!.device);
    this.#scheduler = new Scheduler(this.#pool, rows, promptTokens);
  }

  /**
   * Events of a request, each as soon as it is there; they must be read. The request ends when the signal aborts or the reader leaves,
   * at the next step.
   *
   * @throws RequestError for what can never be computed: no prompt, unknown tokens, a text beyond the context or the cache
   */
  submit(request: EngineRequest, signal?: AbortSignal): AsyncIterable<EngineEvent> {
    this.#check(request);
    const abort = () => this.#drop(submission);
    const submission: Submission = {
      request,
      events: eventQueue<EngineEvent>(abort),
      open: new Set(),
      promptLogProbs: [],
      promptTold: false,
      ended: () => signal?.removeEventListener("abort", abort),
    };
    if (signal?.aborted) {
      submission.events.end();
      return submission.events;
    }
    signal?.addEventListener("abort", abort, { once: true });
    const responses = request.streams.map((_, index) => this.#response(submission, index));
    for (const response of responses) submission.open.add(response);
    const [leader, ...followers] = responses as [Response, ...Response[]];
    leader.followers = followers;
    this.#open.add(submission);
    this.#promptTokens += request.prompt.length;
    this.#scheduler.add(leader);
    this.#working ??= this.#work();
    return submission.events;
  }

  #response(submission: Submission, index: number): Response {
    const { prompt, stopper, constraint, promptLogProbs } = submission.request;
    return {
      submission,
      index,
      tokens: [...prompt],
      promptLength: prompt.length,
      order: this.#arrivals++,
      // Log-probs of tokens that are not computed are not known.
      reuses: promptLogProbs !== true || index > 0,
      followers: [],
      pages: [],
      chains: [],
      computed: 0,
      admitted: false,
      ids: [],
      stops: stopper?.() ?? (() => false),
      constraint: constraint?.(),
      ending: undefined,
    };
  }

  /** Most tokens of a prompt with its response. */
  get room(): number {
    return Math.min(this.#model.config.maxPositions, this.#pool.size * pageTokens);
  }

  #check({ prompt, streams, maxTokens, sampler }: EngineRequest): void {
    const { vocabularySize, maxPositions } = this.#model.config;
    if (this.#closed) throw new RequestError("the engine is closed");
    if (prompt.length === 0) throw new RequestError("the prompt has no tokens");
    if (streams.length === 0) throw new RequestError("no response is asked for");
    const isUnknown = (id: number) => !Number.isInteger(id) || id < 0 || id >= vocabularySize;
    const unknown = prompt.find(isUnknown);
    if (unknown !== undefined)
      throw new RequestError(`the prompt has a token ${unknown}, the model ${vocabularySize} tokens`);
    const biased = [...(sampler.logitBias?.keys() ?? [])].find(isUnknown);
    if (biased !== undefined)
      throw new RequestError(`a bias is given for token ${biased}, the model has ${vocabularySize} tokens`);
    const tokens = prompt.length + maxTokens;
    if (tokens > maxPositions)
      throw new RequestError(
        `the prompt has ${prompt.length} tokens and ${maxTokens} are asked for; the model's context has ${maxPositions}`,
        { hint: "Shorten the prompt, or ask for fewer tokens." },
      );
    if (tokens > this.room)
      throw new RequestError(
        `the prompt has ${prompt.length} tokens and ${maxTokens} are asked for; the cache has room for ${this.#pool.size * pageTokens}`,
        { hint: "Ask for fewer tokens, or give the cache more memory." },
      );
  }

  load(): EngineLoad {
    const { running, waiting, reusedTokens, preemptions } = this.#scheduler;
    const followers = [...running, ...waiting].reduce((sum, sequence) => sum + sequence.followers.length, 0);
    return {
      running: running.length,
      waiting: waiting.length + followers,
      cacheTokens: this.#pool.size * pageTokens,
      cacheTokensUsed: (this.#pool.size - this.#pool.available) * pageTokens,
      generatedTokens: this.#generatedTokens,
      promptTokens: this.#promptTokens,
      prefixHitTokens: reusedTokens,
      preemptions,
    };
  }

  /** Ends what is under way and frees the cache. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const submission of this.#open) this.#drop(submission);
    await this.#working;
    disposePages(this.#store);
  }

  async #work(): Promise<void> {
    // What else is submitted in this turn comes into the first step too.
    await nextTurn();
    while (this.#open.size > 0) {
      const work = this.#scheduler.next();
      const submissions = new Set(work.map(({ sequence }) => sequence.submission));
      try {
        const { drawn, failures } = computeStep(this.#model, this.#store, this.#scheduler, work);
        this.#generatedTokens += drawn;
        for (const [submission, error] of failures) this.#drop(submission, error);
      } catch (error) {
        for (const submission of submissions) this.#drop(submission, error);
      }
      for (const submission of submissions) if (submission.open.size === 0) this.#drop(submission);
      await nextTurn();
    }
    this.#working = undefined;
  }

  /** Ends a request: nothing of it is computed any more. */
  #drop(submission: Submission, error?: unknown): void {
    if (!this.#open.delete(submission)) return;
    for (const response of submission.open) this.#scheduler.remove(response);
    submission.open.clear();
    submission.ended();
    submission.events.end(error);
  }
}
