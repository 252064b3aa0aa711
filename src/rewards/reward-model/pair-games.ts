import { DataError, type ScoreRequest } from "../../schema/index.ts";
import { metRivals } from "../rivals.ts";
import type { MarkedText } from "./pair-layout.ts";

/** Two different responses to one prompt in tokens, and the logit of each order, that of `texts` first, once it is known. */
export interface Game {
  readonly source: MarkedText;
  readonly texts: readonly [MarkedText, MarkedText];
  readonly logits: [number | undefined, number | undefined];
}

/** What a response has to play. */
export interface Entry {
  /** Its games with its place in `texts`, and how many rivals have the other text. */
  readonly games: readonly { readonly game: Game; readonly at: 0 | 1; readonly times: number }[];
  /** Rivals that take part, those with the response's own text among them. */
  readonly rivals: number;
  /** Tokens of it and its prompt that are left out. */
  readonly cut: number;
}

/** A prompt in tokens with the responses to it, each read once, and their games. */
export interface PromptGames {
  readonly source: MarkedText;
  /** @throws DataError for a response that can't be compared. */
  candidate(response: string): MarkedText;
  readonly games: Map<string, Game>;
}

/** What `work` gives, or the DataError that it throws. */
export function attempt<Result>(work: () => Result): Result | DataError {
  try {
    return work();
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
}

/** `read`, once for each text. */
export function readOnce(read: (text: string) => MarkedText): (text: string) => MarkedText {
  const known = new Map<string, MarkedText | DataError>();
  return (text) => {
    const found = known.get(text) ?? attempt(() => read(text));
    known.set(text, found);
    if (found instanceof DataError) throw found;
    return found;
  };
}

/**
 * The games of a response against its rivals, at most `opponents` of them. A game is one for both of its texts; a rival that can't be compared has none.
 *
 * @throws DataError for a response that can't be compared.
 */
export function entryOf(request: ScoreRequest, prompt: PromptGames, opponents: number | undefined): Entry {
  const { text, rivals = [] } = request;
  const own = prompt.candidate(text);
  const games = metRivals(request, opponents).flatMap(({ text: other, times }) => {
    const against = attempt(() => prompt.candidate(other));
    if (against instanceof DataError) return [];
    const at: 0 | 1 = text < other ? 0 : 1;
    const key = JSON.stringify(at === 0 ? [text, other] : [other, text]);
    const game: Game = prompt.games.get(key) ?? {
      source: prompt.source,
      texts: at === 0 ? [own, against] : [against, own],
      logits: [undefined, undefined],
    };
    prompt.games.set(key, game);
    return [{ game, at, times }];
  });
  const same = rivals.filter((rival) => rival.text === text).length;
  return {
    games,
    rivals: games.reduce((sum, { times }) => sum + times, same),
    cut: prompt.source.cut + own.cut,
  };
}

/** Whether all games of an entry are played. */
export const isPlayed = ({ games }: Entry): boolean => games.every(({ game }) => !game.logits.includes(undefined));
