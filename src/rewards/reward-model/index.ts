import { setImmediate as nextTurn } from "node:timers/promises";
import {
  disposeModel,
  type LoadedModel,
  loadFiles,
  type ModelFiles,
  modelIdentity,
  nextLogits,
  type RewardHead,
} from "../../models/index.ts";
import { contentKey, DataError, ModelError, type RewardRecipe, type ScorePart } from "../../schema/index.ts";
import { noGrad, ops, scope, type Tensor, tensor, toNumbers } from "../../torch/index.ts";
import type { ComponentOutcome, RewardComponent, RewardContext } from "../component.ts";
import { batchTexts, noChains, type ReadText, statesAt } from "../shared-texts.ts";
import { type HeadFigures, readHead } from "./head.ts";
import { type Laid, type Layout, layOut, rowsOf } from "./layout.ts";
import { pairRankerComponent } from "./pairs.ts";
import { type Steps, stepId, stepsValue } from "./steps.ts";

export type RewardModelRecipe = Extract<RewardRecipe, { kind: "model" }>;

/** Files of a reward model, or of a language model whose step labels are read. */
type Files = ModelFiles & { readonly head?: RewardHead | undefined };

/** Tokens computed at once. The rewards don't depend on it. */
const usualMicroBatch = 4096;

/** Rises with every change of how texts are laid out or rewards read. */
const rewardModelVersion = 1;

/** Where a gate looks at the prompt: at the first token of this, the end of the question. */
const answerOpening = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n";

/** Rows of logits over the vocabulary that exist at a time. */
const rowsAtATime = 64;

/** Opens a reward model on this machine. @throws ModelError as `rewardModelComponent` */
export async function openRewardModel(
  recipe: RewardModelRecipe,
  context: RewardContext,
  field: string,
): Promise<RewardComponent> {
  const files = await (readsLabels(recipe) ? context.modelFiles(recipe) : context.rewardModelFiles(recipe));
  if ("ranker" in files) return pairRankerComponent(files, recipe, field, context.endpoint?.notice);
  if (recipe.pairs !== undefined)
    throw new ModelError(`${files.label} rates each response by itself, and compares none`, {
      field: `${field}.pairs`,
      hint: "Take `pairs` out, or a model that compares: llm-blender/PairRM-hf.",
    });
  return rewardModelComponent(files, recipe, field);
}

/** Whether the model is a language model, of which the probabilities of two labels are read. */
export const readsLabels = ({ steps }: Pick<RewardModelRecipe, "steps">): boolean => steps?.labels !== undefined;

/**
 * A reward model: a decoder with a head that reads the reward off the last token of the conversation, laid out by the model's own chat
 * template, with special tokens that are written in the texts spelled out as text. Responses to one prompt share its computation.
 * The objectives and gates of ArmoRM, QRM and URM and the labels of a classifier with several stand beside the reward with weight 0 (`<name>:<objective>`, `<name>:gate:<objective>`), and so
 * do the steps of a process reward (`<name>:step:<k>`), which is read at the token after each. The weights are read for the first
 * response. A conversation of more than `max_length` tokens, or than the context, is a failure with its counts; with `overlong: cut` its
 * end is cut off, as the truncation of `transformers` does.
 *
 * @throws ModelError for a model without a chat template, or whose head and recipe disagree about steps or labels.
 */
export function rewardModelComponent(
  files: Files,
  recipe: Omit<RewardModelRecipe, "kind" | "model" | "weight">,
  field: string,
  microBatchTokens = usualMicroBatch,
): RewardComponent {
  const { tokenizer, label, head } = files;
  const { name, overlong } = recipe;
  if (!tokenizer.hasChatTemplate)
    throw new ModelError(`${label} has no chat template, so a conversation can't be laid out for it`, {
      hint: "Write its `chat_template` into the recipe.",
    });
  const steps = stepsOf(head, recipe.steps, label, field);
  const context = files.decoderConfig.maxPositions;
  const longest = Math.min(recipe.max_length ?? context, context);
  const layout: Layout = {
    files,
    head,
    longest,
    overlong,
    opening:
      (head?.gate?.overPrompt ?? null) === null
        ? undefined
        : { text: answerOpening, ids: tokenizer.encode(answerOpening, { special: true }) },
    steps:
      steps === undefined
        ? undefined
        : { recipe: steps, id: stepId(tokenizer, steps.token, label, `${field}.steps.token`) },
  };
  const labels = steps?.labels?.map((each) => stepId(tokenizer, each, label, `${field}.steps.labels`));
  const names = head === undefined ? [] : figureNames(head);
  const weights = weightsOf(head, recipe.label_weights, label, field);
  let model: LoadedModel | undefined;

  /** Of one text, which is the `at`-th of its micro-batch, with the rewards that were read of it. */
  function partsOf(at: number, rewards: readonly number[], { objectives, gates }: Figures): ScorePart[] {
    const beside = (prefix: string, values: readonly number[]) =>
      values.length === 0
        ? []
        : names.map((each, k) => ({ name: `${prefix}:${each}`, value: values[at * names.length + k]!, weight: 0 }));
    if (steps !== undefined)
      return [
        { name, value: stepsValue(rewards, steps.value), weight: 1 },
        ...rewards.map((value, k) => ({ name: `${name}:step:${k + 1}`, value, weight: 0 })),
      ];
    return [{ name, value: rewards[0]!, weight: 1 }, ...beside(name, objectives), ...beside(`${name}:gate`, gates)];
  }

  return {
    name: `reward model ${name}`,
    identity: contentKey({
      kind: "model",
      version: rewardModelVersion,
      model: modelIdentity(files, recipe),
      longest,
      overlong,
      ...(steps === undefined ? {} : { steps }),
      ...(weights === undefined ? {} : { weights }),
    }),
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      const texts: ReadText[] = [];
      const laid = new Map<number, Laid>();
      for (const [index, { prompt, text }] of requests.entries()) {
        try {
          const one = layOut(layout, prompt.messages, text);
          laid.set(index, one);
          texts.push({ index, group: JSON.stringify(prompt.messages), ids: one.ids });
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
        }
      }
      for (const batch of batchTexts(texts, noChains, microBatchTokens)) {
        if (signal.aborted) return;
        model ??= loadFiles(files, recipe);
        const { decoder } = model;
        const { indices, reads, gates } = rowsOf(batch, laid);
        const figures = noGrad(() =>
          scope(() => {
            const states = statesAt(decoder, batch, noChains, [...reads, ...gates], recipe.device);
            const last = states.narrow(0, 0, reads.length);
            const prompts = gates.length === 0 ? undefined : states.narrow(0, reads.length, gates.length);
            return asNumbers(
              head === undefined
                ? { rewards: goodLabels(last, labels!, (some) => nextLogits(decoder, some)) }
                : readHead(head, decoder.parameters, last, prompts, weights),
            );
          }),
        );
        let from = 0;
        for (const [at, index] of indices.entries()) {
          const end = from + laid.get(index)!.reads.length;
          const parts = partsOf(at, figures.rewards.slice(from, end), figures);
          from = end;
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

interface Figures {
  readonly rewards: number[];
  readonly objectives: number[];
  readonly gates: number[];
}

const asNumbers = ({ rewards, objectives }: HeadFigures): Figures => ({
  rewards: toNumbers(rewards),
  objectives: objectives === undefined ? [] : toNumbers(objectives.rewards),
  gates: objectives?.gates === undefined ? [] : toNumbers(objectives.gates),
});

/** What a head's outputs are called beside the reward: by their number where nobody names them. */
const figureNames = ({ outputs, names }: RewardHead): readonly string[] =>
  names.length === outputs ? names : Array.from({ length: outputs }, (_, index) => `${index}`);

/** The probability of the good label, out of the good and the bad one: states [rows, hidden] -> [rows]. */
function goodLabels(states: Tensor, labels: readonly number[], logitsOf: (states: Tensor) => Tensor): Tensor {
  const columns = tensor(labels, [labels.length], "int64").to(states.device, "int64");
  const rows = states.shape[0]!;
  const parts = Array.from({ length: Math.ceil(rows / rowsAtATime) }, (_, part) =>
    scope(() => {
      const from = part * rowsAtATime;
      const logits = logitsOf(states.narrow(0, from, Math.min(rowsAtATime, rows - from)));
      return logits.index_select(1, columns).softmax(-1, "float32").select(-1, 0);
    }),
  );
  return ops.cat(parts);
}

/** What each of several labels counts. @throws ModelError where the recipe's weights and the model's labels disagree */
function weightsOf(
  head: RewardHead | undefined,
  weights: readonly number[] | undefined,
  label: string,
  field: string,
): readonly number[] | undefined {
  const labels = head === undefined || head.process || head.gate !== null ? 1 : head.outputs;
  const named = head !== undefined && head.names.length > 0 ? ` (${head.names.join(", ")})` : "";
  if (weights === undefined && labels > 1)
    throw new ModelError(`${label} has ${labels} labels${named}, and the recipe doesn't say what each counts`, {
      field: `${field}.label_weights`,
      hint: "Write their weights as a list, as the model's card gives them: the reward is the weighted sum.",
    });
  if (weights !== undefined && labels === 1)
    throw new ModelError(`${label} has one reward already, there are no labels to weigh`, {
      field: `${field}.label_weights`,
      hint: "Take `label_weights` out.",
    });
  if (weights !== undefined && weights.length !== labels)
    throw new ModelError(`${label} has ${labels} labels${named}, these are ${weights.length} weights`, {
      field: `${field}.label_weights`,
    });
  return weights;
}

/** The steps that a recipe asks for. @throws ModelError where the model has no such head, or no other. */
function stepsOf(
  head: RewardHead | undefined,
  steps: Steps | undefined,
  label: string,
  field: string,
): Steps | undefined {
  if (head === undefined || head.process === (steps !== undefined)) return steps;
  if (head.process)
    throw new ModelError(`${label} judges the steps of a response, and the recipe doesn't say what its steps are`, {
      field: `${field}.steps`,
      hint: "Write `steps: {}`: a step then ends at an empty line, with <extra_0> after it, as Qwen2.5-Math-PRM has it.",
    });
  throw new ModelError(`${label} gives one reward to a whole response, not to its steps`, {
    field: `${field}.steps`,
    hint: "Take `steps` out, or a model that was trained to judge steps.",
  });
}
