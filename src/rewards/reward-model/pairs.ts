import { setImmediate as nextTurn } from "node:timers/promises";
import { type Deberta, encoderPrefix, loadWeights, modelIdentity, type PairRankerFiles } from "../../models/index.ts";
import { contentKey, DataError, type Message, ModelError, type ScorePart } from "../../schema/index.ts";
import { microBatches } from "../../scoring/index.ts";
import { noGrad, scope, toNumbers, trimMemory } from "../../torch/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { noPlaces, placesWords } from "../rivals.ts";
import type { RewardModelRecipe } from "./index.ts";
import { attempt, type Entry, entryOf, type Game, isPlayed, type PromptGames, readOnce } from "./pair-games.ts";
import { type MarkedPair, pairLogits } from "./pair-head.ts";
import { type MarkedText, pairLayout, spoken } from "./pair-layout.ts";

/** Rises with every change of how texts are laid out or values read. */
const pairRankerVersion = 1;

/** LLM-Blender's. */
const defaults = { value: "logit", source_tokens: 1224, candidate_tokens: 412 } as const;

type PairRecipe = Omit<RewardModelRecipe, "kind" | "model" | "weight">;

/** The chance to be the better one that a logit stands for. */
const chanceOf = (logit: number): number => 1 / (1 + Math.exp(-logit));

/**
 * A model that compares two responses, as a reward (PairRM; LLM-Blender, arXiv 2306.02561). Each pair is put in both orders, and a response
 * i beats j by s(i, j) - s(j, i), s being the model's logit for the first of two. The value is the mean over the rivals, the response
 * itself among them where it is one (by 0): the scores that LLM-Blender's `rank` gives. With `value: chance` it is the mean of the sigmoid
 * of half of that, the chance to win by the mean of both orders' logits.
 *
 * A prompt or response of more tokens than `pairs` allows is a failure with its counts, and as a rival takes no part; with `overlong: cut`
 * its end is cut off, and how much stands beside the value (`<name>:cut_tokens`). So does the mean chance of the first place
 * (`<name>:first_place`).
 *
 * @throws ModelError for a tokenizer that is not PairRM's, and for fields of the recipe that such a model has no use for.
 */
export function pairRankerComponent(
  files: PairRankerFiles,
  recipe: PairRecipe,
  field: string,
  notice: (line: string) => void = () => {},
  microBatchTokens = 4096,
): RewardComponent {
  refuseForeign(files.label, recipe, field);
  const { name, overlong } = recipe;
  const { opponents, ...how } = { ...defaults, ...recipe.pairs };
  const { marks } = files.ranker;
  const mark = pairLayout(files);
  const places = noPlaces();
  const told = { scored: 0, cut: 0 };
  let model: Deberta | undefined;

  /** Reads a text; one that is too long is refused or cut. */
  function read(what: string, text: string, before: number, longest: number): MarkedText {
    const made = mark(text, before, longest);
    if (made.cut > 0 && overlong === "fail")
      throw new DataError(
        `the ${what} has ${made.ids.length + made.cut} tokens, ${files.label} reads ${longest} of it`,
      );
    return made;
  }

  /** @throws DataError for a prompt to which no response can be compared */
  function promptGames(messages: readonly Message[]): PromptGames {
    const source = read("prompt", spoken(messages, "").source, marks.source, how.source_tokens);
    const longest = Math.floor((how.source_tokens + 2 * how.candidate_tokens - source.ids.length) / 2);
    const candidate = (text: string) => read("response", spoken(messages, text).candidate, marks.first, longest);
    return { source, candidate: readOnce(candidate), games: new Map() };
  }

  /** Books a game that is played in both orders. */
  function hear({ logits }: Game): void {
    const [one, other] = logits.map((logit) => chanceOf(logit!)) as [number, number];
    places.first += one + other;
    places.expected += 1;
    places.orders += 2;
    places.pairs += 1;
    if (one > 0.5 === 1 - other > 0.5) places.agreeing += 1;
  }

  function partsOf({ games, rivals, cut }: Entry): ScorePart[] {
    const sum = games.reduce((total, { game: { logits }, at, times }) => {
      const margin = logits[at]! - logits[1 - at]!;
      return total + times * (how.value === "logit" ? margin : chanceOf(margin / 2) - 0.5);
    }, 0);
    const mean = (rivals === 0 ? 0 : sum / rivals) + (how.value === "logit" ? 0 : 0.5);
    const firsts = games.flatMap(({ game: { logits } }) => logits.map((logit) => chanceOf(logit!)));
    const beside = (part: string, value: number) => ({ name: `${name}:${part}`, value, weight: 0 });
    return [
      { name, value: mean, weight: 1 },
      ...(firsts.length === 0 ? [] : [beside("first_place", firsts.reduce((a, b) => a + b) / firsts.length)]),
      ...(overlong === "cut" ? [beside("cut_tokens", cut)] : []),
    ];
  }

  /** The outcomes of entries that have played, which are taken out. */
  function* outcomesOf(entries: Map<number, Entry>): Generator<ComponentOutcome> {
    for (const [index, entry] of entries) {
      if (!isPlayed(entry)) continue;
      entries.delete(index);
      const parts = partsOf(entry);
      const unusable = parts.find(({ value }) => !Number.isFinite(value));
      told.scored += 1;
      if (entry.cut > 0) told.cut += 1;
      if (unusable === undefined) yield { index, parts };
      else yield { index, failure: `${unusable.name} is ${unusable.value}` };
    }
  }

  return {
    name: `reward model ${name}`,
    identity: contentKey({
      kind: "pair ranker",
      version: pairRankerVersion,
      model: modelIdentity(files, recipe),
      opponents: opponents ?? null,
      ...how,
      overlong,
    }),
    comparing: true,
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      const prompts = new Map<string, PromptGames | DataError>();
      const entries = new Map<number, Entry>();
      for (const [index, request] of requests.entries()) {
        const { messages } = request.prompt;
        const key = JSON.stringify(messages);
        const prompt = prompts.get(key) ?? attempt(() => promptGames(messages));
        prompts.set(key, prompt);
        const entry = prompt instanceof DataError ? prompt : attempt(() => entryOf(request, prompt, opponents));
        if (entry instanceof DataError) yield { index, failure: entry.message };
        else entries.set(index, entry);
      }
      yield* outcomesOf(entries);
      const games = [...prompts.values()].flatMap((prompt) =>
        prompt instanceof DataError ? [] : [...prompt.games.values()],
      );
      const tokens = ({ source, texts }: Game) => 2 * (source.ids.length + texts[0].ids.length + texts[1].ids.length);
      for (const batch of microBatches(games, tokens, microBatchTokens)) {
        if (signal.aborted) return;
        model ??= { config: files.ranker.encoder, prefix: encoderPrefix, parameters: loadWeights(files, recipe) };
        const loaded = model;
        const pairs = batch.flatMap(({ source, texts: [one, other] }) => [
          joined(source, one, other, marks.second),
          joined(source, other, one, marks.second),
        ]);
        const logits = noGrad(() => scope(() => toNumbers(pairLogits(loaded, pairs, recipe.device))));
        for (const [k, game] of batch.entries()) {
          game.logits[0] = logits[2 * k]!;
          game.logits[1] = logits[2 * k + 1]!;
          hear(game);
        }
        yield* outcomesOf(entries);
        await nextTurn();
      }
    },
    async close() {
      for (const weight of model?.parameters.values() ?? []) weight.dispose();
      if (model !== undefined) trimMemory();
      model = undefined;
      const words = placesWords(`reward model ${name}`, places);
      if (words !== undefined) notice(words);
      if (told.cut > 0)
        notice(
          `reward model ${name}: ${told.cut} of ${told.scored} responses, or their prompts, were cut at their end`,
        );
    },
  };
}

/** Source, first and second candidate one after another; the mark of a text is its second token. */
function joined(source: MarkedText, first: MarkedText, second: MarkedText, secondMark: number): MarkedPair {
  const at = source.ids.length;
  const [begin, , ...rest] = second.ids as [number, number, ...number[]];
  return {
    ids: [...source.ids, ...first.ids, begin, secondMark, ...rest],
    marks: [1, at + 1, at + first.ids.length + 1],
  };
}

/** Refuses what a recipe says of other reward models. */
function refuseForeign(label: string, recipe: PairRecipe, field: string): void {
  for (const [name, hint] of [
    ["max_length", "Take it out; `pairs` has `source_tokens` and `candidate_tokens`."],
    ["steps", "Take it out."],
    ["label_weights", "Take it out."],
    ["chat_template", "Take it out."],
  ] as const)
    if (recipe[name] !== undefined)
      throw new ModelError(`${label} compares responses laid out in its own way, and has no use for this`, {
        field: `${field}.${name}`,
        hint,
      });
}
