import type { EngineEvent, EngineLoad, EngineRequest, EngineSettings, OutputForm } from "../../generation/index.ts";
import type { LocateOptions, LocateProgress } from "../../models/index.ts";
import type { ModelRecipe } from "../../schema/index.ts";
import type { TokenizerParts } from "../../tokenizers/index.ts";
import type { PackedError } from "./packed-error.ts";

/** What an engine is to compute, in data alone. */
export interface RemoteRequest
  extends Pick<
    EngineRequest,
    "prompt" | "sampler" | "minTokens" | "maxTokens" | "endIds" | "topLogProbs" | "promptLogProbs"
  > {
  readonly seed: number;
  /** A number for each response: it decides its random numbers together with the seed. */
  readonly choices: readonly number[];
  readonly stops: readonly string[];
  /** Special tokens that belong to the text. */
  readonly shown?: readonly string[];
  /** What the responses are held to. */
  readonly form?: OutputForm;
}

/** A model as the other thread knows it. */
export interface ModelFacts {
  readonly label: string;
  readonly identity: string;
  readonly vocabularySize: number;
  readonly maxPositions: number;
  /** Most tokens of a prompt with its response. */
  readonly room: number;
  /** The model's own; undefined for adapters, which have that of their model. */
  readonly tokenizer: TokenizerParts | undefined;
}

/** What is asked of the engines' thread. `id` names the call, `model` a model that was opened or is to be. */
export type Command =
  | {
      readonly kind: "open";
      readonly id: number;
      readonly model: number;
      readonly recipe: ModelRecipe;
      readonly settings: EngineSettings;
    }
  | {
      readonly kind: "adapt";
      readonly id: number;
      readonly model: number;
      readonly base: number;
      readonly folder: string;
      readonly settings: EngineSettings;
    }
  | { readonly kind: "free"; readonly id: number; readonly model: number }
  | { readonly kind: "draw"; readonly id: number; readonly model: number; readonly request: RemoteRequest }
  | {
      readonly kind: "embed";
      readonly id: number;
      readonly model: number;
      readonly texts: readonly (readonly number[])[];
    }
  /** Nobody waits any more for what call `id` gives. */
  | { readonly kind: "abandon"; readonly id: number };

/** What calls give in the end. */
export interface Results {
  readonly open: ModelFacts;
  readonly adapt: ModelFacts;
  readonly free: undefined;
  readonly draw: undefined;
  readonly embed: readonly Float32Array[];
}

/** What became of a call. */
export type Report =
  | { readonly kind: "event"; readonly id: number; readonly event: EngineEvent }
  | { readonly kind: "done"; readonly id: number; readonly result: Results[keyof Results] }
  | { readonly kind: "failed"; readonly id: number; readonly error: PackedError };

/** What the thread holds, in bytes. */
export interface ThreadMemory {
  /** JavaScript's heap, which is apart from the other threads'. */
  readonly heap: number;
  /** Large CPU tensors: weights, caches, and what a step computes. */
  readonly tensors: number;
  /** Freed memory of tensors that is kept for the next ones. */
  readonly kept: number;
}

/** Everything of one turn, and what each model's engine is doing after it. */
export interface Message {
  readonly reports: readonly Report[];
  readonly loads: readonly (readonly [model: number, load: EngineLoad])[];
  readonly memory: ThreadMemory;
  readonly progress?: LocateProgress;
}

/** What the thread is given when it starts. */
export interface ThreadSettings {
  readonly locating: Omit<LocateOptions, "progress">;
}
