import { constraintsOf, Engine, type EngineRequest, randomStream, responsesOf } from "../../generation/index.ts";
import type { LoadedModel, ModelFiles } from "../../models/index.ts";
import { disposeModel, loadFiles, modelIdentity } from "../../models/index.ts";
import { DataError, type ModelRecipe } from "../../schema/index.ts";
import { endingReasons } from "./ending-reasons.ts";
import type { JudgeReader } from "./judge.ts";
import type { Scale } from "./scale.ts";
import { answerPattern, mostReasons, mostTokens, readWritten, type WrittenAnswer } from "./written-form.ts";

/**
 * A model on this machine as a judge that writes its answer, most probable token by most probable token. A grammar leaves out every token
 * that does not lead to an answer of the form: it can't say anything but a rating of the scale. A judge prompt that leaves no room for the
 * answer in the context is a failure with its counts.
 */
export function embeddedWriter(
  files: ModelFiles,
  recipe: Pick<ModelRecipe, "precision" | "device">,
  scale: Scale,
  answer: WrittenAnswer,
): JudgeReader {
  const { tokenizer, label } = files;
  const { vocabularySize } = files.decoderConfig;
  const form = { regex: answerPattern(answer, scale) };
  const constraint = constraintsOf(form, tokenizer, vocabularySize, tokenizer.stopIds);
  const settings = {
    sampler: { temperature: 0, topP: 1, topK: 0 },
    maxTokens: mostTokens[answer],
    endIds: new Set(tokenizer.stopIds),
    constraint: answer === "rating" ? constraint : endingReasons(constraint, tokenizer, vocabularySize, mostReasons),
  };
  let model: LoadedModel | undefined;
  return {
    identity: modelIdentity(files, recipe),
    async *read(questions, signal) {
      const asked: { index: number; prompt: number[] }[] = [];
      for (const [index, { messages }] of questions.entries()) {
        try {
          asked.push({ index, prompt: tokenizer.encodePrompt(messages, { sanitizeContent: true }) });
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
        }
      }
      if (asked.length === 0) return;
      model ??= loadFiles(files, recipe);
      const engine = new Engine(model.decoder);
      try {
        const fits = ({ prompt }: { prompt: number[] }) => prompt.length + settings.maxTokens <= engine.room;
        for (const { index, prompt } of asked.filter((one) => !fits(one)))
          yield {
            index,
            failure: `the judge's prompt has ${prompt.length} tokens and its answer up to ${settings.maxTokens}, the context of ${label} ${engine.room}`,
          };
        const fitting = asked.filter(fits);
        const requests = fitting.map(({ prompt }): EngineRequest => {
          // The most probable tokens are taken: no number is drawn.
          return { ...settings, prompt, streams: [randomStream("judge")] };
        });
        for await (const { request, ids, finish } of responsesOf(engine, requests, signal)) {
          const { index } = fitting[request]!;
          if (finish === "length")
            yield { index, failure: `the judge's answer was cut off after ${ids.length} tokens` };
          else yield { index, ...readWritten(tokenizer.decode(ids, { skipSpecial: true }), scale) };
        }
      } finally {
        await engine.close();
      }
    },
    async close() {
      if (model !== undefined) disposeModel(model);
      model = undefined;
    },
  };
}
