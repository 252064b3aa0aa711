import { contentKey, RecipeError, type ScoreRequest } from "../../schema/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { metRivals, noPlaces, placesWords } from "../rivals.ts";
import { leastMass, percent } from "./expected-rating.ts";
import type { JudgeReader, JudgeSettings, Question, Said } from "./judge.ts";
import { checkReference, referenceOf, withoutReference } from "./reference.ts";
import { compileComparison, defaultComparison } from "./rubric.ts";

/** How a judge compares: two answers at a time, or several. */
export interface Comparing {
  readonly compare: "pairs" | "list";
  /** How many others a response meets: one after another in pairs, all at once in a list. All of them where none is given. */
  readonly opponents?: number | undefined;
}

/** The most answers in a list: their numbers are of one digit, so that an endpoint's most probable tokens can hold them all. */
export const longestList = 9;

/** Rises with every change of how comparisons are put or read. */
const comparisonVersion = 1;

/** Answers that are compared, in an order that depends on nothing but what they are. */
type Game = readonly { readonly key: string; readonly text: string }[];

/** What is known of a game: for each order that was read, the place of its first member, and the probabilities of the places. */
interface Played {
  readonly game: Game;
  waiting: number;
  readonly orders: { readonly shift: number; readonly shares: readonly number[]; readonly mass: number }[];
  failure?: string;
}

/**
 * A judge that compares, as a reward: how probable it is that the response beats another one, mean over its rivals. Each comparison is put
 * in as many orders as it has answers, so that each answer stands once in each place, and whatever the judge has for a place counts for
 * all alike. Of several answers in a list, one with the share s of being the best beats another with the share t with s / (s + t)
 * (Luce 1959, the model of Bradley and Terry). A response without a rival of another text has 1/2, as against itself. Beside the value,
 * with weight 0, stand the mean probability of the first place (`<name>:first_place`: 1/2 in pairs where the place plays no part) and that
 * of the answers' numbers at all (`<name>:rating_mass`).
 *
 * Throws RecipeError below `field` for a rubric without its placeholders and for more answers in a list than 9.
 */
export async function comparisonComponent(
  { name, rubric: given, answer, compare, opponents, reference }: Omit<JudgeSettings, "scale"> & Comparing,
  field: string,
  open: (scale: readonly [1, number]) => Promise<JudgeReader>,
  notice: (line: string) => void = () => {},
): Promise<RewardComponent> {
  const size = compare === "pairs" ? 2 : Math.min(longestList, (opponents ?? longestList) + 1);
  if (compare === "list" && opponents !== undefined && opponents >= longestList)
    throw new RecipeError(`a list has at most ${longestList} answers, the response and ${longestList - 1} others`, {
      field: `${field}.opponents`,
    });
  const rubric = given ?? defaultComparison(answer, reference !== undefined);
  checkReference(rubric, reference, field);
  const question = compileComparison(rubric, `${field}.rubric`);
  const reader = await open([1, size]);
  const places = noPlaces();

  /** The games of a response. */
  function gamesOf(request: ScoreRequest): Game[] {
    const own = { key: request.responseKey, text: request.text };
    const drawn = metRivals(request, compare === "list" ? size - 1 : opponents);
    if (drawn.length === 0) return [];
    const groups = compare === "list" ? [drawn] : drawn.map((each) => [each]);
    return groups.map((group) => [own, ...group].sort((a, b) => (a.key < b.key ? -1 : 1)));
  }

  /** Books what was said to a game put in the order that begins with its member `shift`. */
  function hear(played: Played, shift: number, said: Said): void {
    const count = played.game.length;
    played.waiting -= 1;
    const read = sharesOf(said, count);
    if ("failure" in read) {
      played.failure ??= read.failure;
      return;
    }
    played.orders.push({ shift, ...read });
    places.first += read.shares[0]!;
    places.expected += 1 / count;
    places.orders += 1;
    if (played.waiting > 0 || count !== 2 || played.failure !== undefined) return;
    places.pairs += 1;
    const [one, other] = played.orders.map((order) => winShare(order, 0, count));
    if (one! > 0.5 === other! > 0.5) places.agreeing += 1;
  }

  return {
    name: `judge ${name}`,
    identity: contentKey({
      kind: "comparison",
      version: comparisonVersion,
      rubric,
      compare,
      opponents: opponents ?? null,
      answer,
      ...(reference === undefined ? {} : { reference: reference.column }),
      reader: reader.identity,
    }),
    comparing: true,
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      const games = new Map<string, Played>();
      const played: Played[][] = [];
      const questions: Question[] = [];
      const asked: { readonly played: Played; readonly shift: number }[] = [];
      for (const [index, request] of requests.entries()) {
        const shown = reference && referenceOf(request.prompt, reference.column);
        if (reference !== undefined && shown === undefined) {
          yield { index, ...withoutReference(reference) };
          played.push([]);
          continue;
        }
        const mine = gamesOf(request);
        if (mine.length === 0) yield { index, parts: [{ name, value: 0.5, weight: 1 }] };
        played.push(
          mine.map((game) => {
            const key = game.map((each) => each.key).join(" ");
            const known = games.get(key);
            if (known !== undefined) return known;
            const made: Played = { game, waiting: game.length, orders: [] };
            games.set(key, made);
            for (const shift of game.keys()) {
              const order = [...game.slice(shift), ...game.slice(0, shift)];
              const texts = order.map(({ text }) => text);
              questions.push({
                messages: question(request.prompt.messages, texts, shown),
                group: JSON.stringify(request.prompt.messages),
              });
              asked.push({ played: made, shift });
            }
            return made;
          }),
        );
      }
      const ownersOf = new Map<Played, number[]>();
      for (const [index, mine] of played.entries())
        for (const game of mine) ownersOf.set(game, [...(ownersOf.get(game) ?? []), index]);
      for await (const { index: at, ...said } of reader.read(questions, signal)) {
        const { played: game, shift } = asked[at]!;
        hear(game, shift, said);
        if (game.waiting > 0) continue;
        for (const index of ownersOf.get(game)!)
          if (played[index]!.every(({ waiting }) => waiting === 0))
            yield { index, ...resultOf(name, requests[index]!.responseKey, played[index]!) };
      }
    },
    async close() {
      await reader.close();
      const words = placesWords(`judge ${name}`, places);
      if (words !== undefined) notice(words);
    },
  };
}

/** How probable each of `count` places is as the best one's, of sum 1, and how probable it is that one is named at all. */
function sharesOf(said: Said, count: number): { shares: readonly number[]; mass: number } | { failure: string } {
  if ("failure" in said) return said;
  if ("rating" in said) {
    const { rating } = said;
    if (rating > count) return { failure: `the judge named the answer ${rating} of ${count}` };
    return { shares: Array.from({ length: count }, (_, place) => (place + 1 === rating ? 1 : 0)), mass: 1 };
  }
  const some = said.probabilities.slice(0, count);
  const mass = some.reduce((sum, p) => sum + p, 0);
  if (!Number.isFinite(mass) || mass > 1.001 || some.some((p) => p < 0))
    return { failure: `the probabilities of the answers are not probabilities: they add up to ${mass}` };
  if (mass < leastMass)
    return {
      failure: `only ${percent(mass)} of the judge's probability is on the answers 1 to ${count}, at least ${percent(leastMass)} is wanted`,
    };
  return { shares: some.map((p) => p / mass), mass: Math.min(1, mass) };
}

/** The share of a game's member `at` in an order that begins with the member `shift`. */
const winShare = ({ shift, shares }: { shift: number; shares: readonly number[] }, at: number, count: number): number =>
  shares[(at - shift + count) % count]!;

/** How probable it is that a game's member `at` beats another one, mean over the others. */
function wins(order: Played["orders"][number], at: number, count: number): number {
  const own = winShare(order, at, count);
  const others = Array.from({ length: count }, (_, k) => k).filter((k) => k !== at);
  const against = others.map((k) => {
    const other = winShare(order, k, count);
    return own + other === 0 ? 0.5 : own / (own + other);
  });
  return against.reduce((sum, share) => sum + share, 0) / against.length;
}

function resultOf(
  name: string,
  key: string,
  games: readonly Played[],
): { parts: { name: string; value: number; weight: number }[] } | { failure: string } {
  const failed = games.find(({ failure }) => failure !== undefined);
  if (failed !== undefined) return { failure: failed.failure! };
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const orders = games.flatMap(({ game, orders }) => {
    const at = game.findIndex((each) => each.key === key);
    return [...orders]
      .sort((a, b) => a.shift - b.shift)
      .map((order) => ({ won: wins(order, at, game.length), first: order.shares[0]!, mass: order.mass }));
  });
  return {
    parts: [
      { name, value: mean(orders.map(({ won }) => won)), weight: 1 },
      { name: `${name}:first_place`, value: mean(orders.map(({ first }) => first)), weight: 0 },
      { name: `${name}:rating_mass`, value: mean(orders.map(({ mass }) => mass)), weight: 0 },
    ],
  };
}
