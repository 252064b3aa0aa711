import type { ModelFiles, PairRankerFiles, RewardModelFiles } from "../models/index.ts";
import type { ModelRecipe, ScorePart, ScoreRequest } from "../schema/index.ts";
import type { EndpointOptions } from "../sources/index.ts";

/** What a component makes of one response; `index` is the response's place among those it was given. */
export type ComponentOutcome =
  | {
      readonly index: number;
      /**
       * Values, of checks and judges in 0..1, with weights of sum 1. A part of weight 0 is a figure that is kept beside the value. No parts at
       * all: the component has nothing to say about this response, and the others decide alone.
       */
      readonly parts: readonly ScorePart[];
    }
  | { readonly index: number; readonly failure: string };

/** One reward among those that a recipe weighs. */
export interface RewardComponent {
  /** As it stands in the reward's name and before its failures. */
  readonly name: string;
  /** Content key of all that decides its values. */
  readonly identity: string;
  /** Whether it compares a response with its rivals, and so tells nothing of one without. */
  readonly comparing?: boolean;
  /**
   * One outcome for each request, in any order. Ends quietly when `signal` aborts. Throws what no further response
   * could go well after.
   */
  rate(requests: readonly ScoreRequest[], signal: AbortSignal): AsyncIterable<ComponentOutcome>;
  close(): Promise<void>;
}

/** What the rewards of a recipe are opened with. */
export interface RewardContext {
  /** Finds the model that a recipe names, and reads it but for its weights; those are read for the first response. */
  readonly modelFiles: (recipe: ModelRecipe) => Promise<ModelFiles>;
  /** The same for a reward model, or one that compares. */
  readonly rewardModelFiles: (
    recipe: Pick<ModelRecipe, "model" | "chat_template">,
  ) => Promise<RewardModelFiles | PairRankerFiles>;
  readonly endpoint?: EndpointOptions;
}
