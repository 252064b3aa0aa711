import { setImmediate as nextTurn } from "node:timers/promises";
import type { LoadedModel, ModelFiles } from "../../models/index.ts";
import { disposeModel, loadFiles, modelIdentity } from "../../models/index.ts";
import { DataError, type ModelRecipe } from "../../schema/index.ts";
import { batchTexts, type ReadText } from "../shared-texts.ts";
import type { JudgeReader, Question } from "./judge.ts";
import { type AnswerTokens, ratingTokens } from "./rating-tokens.ts";
import { readEdges } from "./read-ratings.ts";
import type { Scale } from "./scale.ts";

/** Tokens computed at once: enough for fast matrix products, few enough for little memory. The answers don't depend on it. */
const usualMicroBatch = 4096;

/**
 * A model on this machine as a judge. Each response's judge prompt goes through the model's chat template, with special
 * tokens that are written in the texts spelled out as text; prompts about the same request share the computation of
 * their common beginning. The weights are read for the first response. A judge prompt that does not fit into the
 * context is a failure with its counts, never cut.
 */
export function embeddedReader(
  files: ModelFiles,
  recipe: Pick<ModelRecipe, "precision" | "device">,
  scale: Scale,
  field: string,
  microBatchTokens?: number,
): JudgeReader {
  const tokens = ratingTokens(files.tokenizer, scale, files.label, `${field}.scale`);
  return embeddedAnswers(files, recipe, tokens, microBatchTokens);
}

/** The same for answers other than ratings: `probabilities` are theirs, in the order of the tokens. */
export function embeddedAnswers(
  files: ModelFiles,
  recipe: Pick<ModelRecipe, "precision" | "device">,
  tokens: AnswerTokens,
  microBatchTokens = usualMicroBatch,
) {
  const { tokenizer, label } = files;
  const longestChain = Math.max(...tokens.chains.map((chain) => chain.length));
  const context = files.decoderConfig.maxPositions;
  let model: LoadedModel | undefined;
  return {
    identity: modelIdentity(files, recipe),
    async *read(
      questions: readonly Question[],
      signal: AbortSignal,
    ): AsyncGenerator<{ index: number } & ({ probabilities: readonly number[] } | { failure: string })> {
      const prompts: ReadText[] = [];
      for (const [index, { messages, group }] of questions.entries()) {
        let ids: number[];
        try {
          ids = tokenizer.encodePrompt(messages, { sanitizeContent: true });
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
          continue;
        }
        if (ids.length + longestChain <= context) prompts.push({ index, group, ids });
        else {
          const rating = longestChain === 0 ? "" : ` and the answer's beginning ${longestChain}`;
          yield {
            index,
            failure: `the judge's prompt has ${ids.length} tokens${rating}, the context of ${label} ${context}`,
          };
        }
      }
      for (const batch of batchTexts(prompts, tokens.chains, microBatchTokens)) {
        if (signal.aborted) return;
        model ??= loadFiles(files, recipe);
        for (const [index, logProbs] of readEdges(model.decoder, batch, tokens, recipe.device))
          yield { index, probabilities: tokens.probabilities(logProbs) };
        await nextTurn();
      }
    },
    async close() {
      if (model !== undefined) disposeModel(model);
      model = undefined;
    },
  };
}
