import { setImmediate as nextTurn } from "node:timers/promises";
import { disposeModel, type LoadedModel, loadFiles, modelIdentity, type RewardModelFiles } from "../../models/index.ts";
import { contentKey, DataError, ModelError, type RewardRecipe, type ScorePart } from "../../schema/index.ts";
import { noGrad, scope, toNumbers } from "../../torch/index.ts";
import type { ComponentOutcome, RewardComponent, RewardContext } from "../component.ts";
import { batchTexts, noChains, type ReadText, type SharedTexts, statesAt } from "../shared-texts.ts";
import { readHead } from "./head.ts";
import { objectiveNames } from "./objectives.ts";

export type RewardModelRecipe = Extract<RewardRecipe, { kind: "model" }>;

/** Tokens computed at once. The rewards don't depend on it. */
const usualMicroBatch = 4096;

/** Rises with every change of how texts are laid out or rewards read. */
const rewardModelVersion = 1;

/** Where ArmoRM's gate looks at the prompt: at the first token of this, the end of the question. */
const answerOpening = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n";

/** Opens a reward model on this machine. @throws ModelError as `rewardModelComponent` */
export const openRewardModel = async (recipe: RewardModelRecipe, context: RewardContext): Promise<RewardComponent> =>
  rewardModelComponent(await context.rewardModelFiles(recipe), recipe);

/**
 * A reward model: a decoder with a head that reads the reward off the last token of the conversation, laid out by the model's own chat
 * template, with special tokens that are written in the texts spelled out as text. Responses to one prompt share its computation.
 * ArmoRM's objectives and gates stand beside the reward with weight 0 (`<name>:<objective>`, `<name>:gate:<objective>`). The weights are
 * read for the first response. A conversation of more than `max_length` tokens, or than the context, is a failure with its counts;
 * with `overlong: cut` its end is cut off, as the truncation of `transformers` does.
 *
 * @throws ModelError for a model without a chat template, or a gate whose place the template doesn't write.
 */
export function rewardModelComponent(
  files: RewardModelFiles,
  recipe: Omit<RewardModelRecipe, "kind" | "model" | "weight">,
  microBatchTokens = usualMicroBatch,
): RewardComponent {
  const { tokenizer, label, head } = files;
  const { name, overlong } = recipe;
  if (!tokenizer.hasChatTemplate)
    throw new ModelError(`${label} has no chat template, so a conversation can't be laid out for it`, {
      hint: "Write its `chat_template` into the recipe.",
    });
  const opening = head.gate === null ? [] : tokenizer.encode(answerOpening, { special: true });
  const context = files.decoderConfig.maxPositions;
  const longest = Math.min(recipe.max_length ?? context, context);
  const names = objectiveNames(head.outputs);
  let model: LoadedModel | undefined;

  /** The tokens up to the one that is read. */
  function tokensOf(ids: readonly number[]): readonly number[] {
    const kept = ids.length > longest ? ids.slice(0, longest) : ids;
    if (head.endToken !== null) return [...kept.slice(0, longest - 1), head.endToken];
    const last = kept.findLastIndex((id) => id !== head.padToken);
    return kept.slice(0, Math.max(last, 0) + 1);
  }

  function partsOf(at: number, figures: { rewards: number[]; objectives: number[]; gates: number[] }): ScorePart[] {
    const beside = (prefix: string, values: readonly number[]) =>
      head.gate === null
        ? []
        : names.map((each, k) => ({ name: `${prefix}:${each}`, value: values[at * names.length + k]!, weight: 0 }));
    return [
      { name, value: figures.rewards[at]!, weight: 1 },
      ...beside(name, figures.objectives),
      ...beside(`${name}:gate`, figures.gates),
    ];
  }

  return {
    name: `reward model ${name}`,
    identity: contentKey({
      kind: "model",
      version: rewardModelVersion,
      model: modelIdentity(files, recipe),
      longest,
      overlong,
    }),
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      const texts: ReadText[] = [];
      for (const [index, { prompt, text }] of requests.entries()) {
        try {
          const turns = [...prompt.messages, { role: "assistant" as const, content: text }];
          const ids = tokenizer.encodeConversation(turns, { sanitizeContent: true });
          if (ids.length > longest && overlong === "fail")
            throw new DataError(`the conversation has ${ids.length} tokens, the context of ${label} ${longest}`);
          const kept = tokensOf(ids);
          if (head.gate !== null && lastOccurrence(kept, opening) < 0)
            throw new DataError(
              `nothing opens the answer as ${label}'s gate expects it (${JSON.stringify(answerOpening)})`,
            );
          texts.push({ index, group: JSON.stringify(prompt.messages), ids: kept });
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
        }
      }
      for (const batch of batchTexts(texts, noChains, microBatchTokens)) {
        if (signal.aborted) return;
        model ??= loadFiles(files, recipe);
        const { parameters } = model.decoder;
        const { indices, last, gates } = rowsOf(batch, head.gate === null ? undefined : opening);
        const read = noGrad(() =>
          scope(() => {
            const states = statesAt(model!.decoder, batch, noChains, [...last, ...gates], recipe.device);
            const prompts = gates.length === 0 ? undefined : states.narrow(0, last.length, gates.length);
            const { rewards, objectives } = readHead(head, parameters, states.narrow(0, 0, last.length), prompts);
            return {
              rewards: toNumbers(rewards),
              objectives: objectives === undefined ? [] : toNumbers(objectives.rewards),
              gates: objectives === undefined ? [] : toNumbers(objectives.gates),
            };
          }),
        );
        for (const [at, index] of indices.entries()) {
          const parts = partsOf(at, read);
          const unusable = parts.find(({ value }) => !Number.isFinite(value));
          if (unusable === undefined) yield { index, parts };
          else yield { index, failure: `${unusable.name} is ${unusable.value}` };
        }
        await nextTurn();
      }
    },
    async close() {
      if (model !== undefined) disposeModel(model);
      model = undefined;
    },
  };
}

/** Where `pattern` begins in `ids` for the last time; -1 where it doesn't. */
function lastOccurrence(ids: readonly number[], pattern: readonly number[]): number {
  for (let at = ids.length - pattern.length; at >= 0; at--) if (pattern.every((id, k) => ids[at + k] === id)) return at;
  return -1;
}

/** Rows of a micro-batch, laid flat, that are read: of each text its last token, and where the answer opens. */
function rowsOf(batch: readonly SharedTexts[], opening: readonly number[] | undefined) {
  const [indices, last, gates]: [number[], number[], number[]] = [[], [], []];
  let start = 0;
  for (const { shared, endings } of batch) {
    let at = start + shared.length;
    for (const { index, ids } of endings) {
      indices.push(index);
      last.push(at + ids.length - 1);
      if (opening !== undefined) {
        const place = lastOccurrence([...shared, ...ids], opening);
        gates.push(place < shared.length ? start + place : at + place - shared.length);
      }
      at += ids.length;
    }
    start = at;
  }
  return { indices, last, gates };
}
