import type { Flag, ScorePart } from "../../schema/index.ts";
import { reward } from "../report/format.ts";

/** What a response was chosen for. */
export type Role = "y_ws" | "y_wt" | "y_l" | "y_ls" | "chosen" | "rejected" | "answer";

/** A response as it is shown. */
export interface ShownResponse {
  /** Who wrote it; undefined where a file doesn't say. */
  readonly source: string | undefined;
  /** Where a run has several responses of a source: its number. */
  readonly index?: number;
  readonly text: string;
  readonly finish?: "stop" | "length";
  readonly tokens?: number;
  readonly reward?: number;
  readonly parts: readonly ScorePart[];
  readonly roles: readonly Role[];
  readonly flags: readonly Flag[];
}

/** A prompt with all its responses, whether of a run or of a file. */
export interface Shown {
  readonly id: string;
  /** In words: the part of a run that it serves, or the line of a file. */
  readonly place: string;
  readonly domain?: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** The best reward first; those without one last. */
  readonly responses: readonly ShownResponse[];
  /** Why a run chose nothing, or a file's row teaches nothing. */
  readonly leftOut?: string;
}

/** The responses in order: by reward, and what has none at the end. */
export const ranked = (responses: readonly ShownResponse[]): ShownResponse[] =>
  [...responses].sort((a, b) => known(b) - known(a));

const known = ({ reward }: ShownResponse) =>
  reward === undefined || Number.isNaN(reward) ? -Number.MAX_VALUE : reward;

/** The reward of a response after `before`. A run's response that has none yet says so; of a file there is nothing to say. */
export const rewardWords = ({ index, reward: value }: ShownResponse, before = ""): string =>
  value !== undefined ? `${before}${reward(value)}` : index === undefined ? "" : "no reward";

const withRole = ({ responses }: Shown, ...roles: readonly Role[]) =>
  roles.flatMap((role) => responses.find((response) => response.roles.includes(role)) ?? [])[0];

/** The preferred and the dispreferred response; undefined where nothing was chosen. */
export function pairOf(shown: Shown): { readonly chosen: ShownResponse; readonly rejected: ShownResponse } | undefined {
  const [chosen, rejected] = [withRole(shown, "y_wt", "chosen", "y_ws"), withRole(shown, "y_l", "rejected")];
  return chosen === undefined || rejected === undefined ? undefined : { chosen, rejected };
}

/**
 * The difference of the rewards of the pair; where nothing was chosen, of the best and the worst response. Undefined where
 * these have none.
 */
export function gapOf(shown: Shown): number | undefined {
  const pair = pairOf(shown);
  const scored = shown.responses.filter(({ reward }) => reward !== undefined && Number.isFinite(reward));
  const [high, low] = pair === undefined ? [scored[0], scored.at(-1)] : [pair.chosen, pair.rejected];
  const gap = (high?.reward ?? Number.NaN) - (low?.reward ?? Number.NaN);
  return Number.isFinite(gap) && high !== low ? gap : undefined;
}

/** Whose response is preferred of all: the source of y_ws or of the chosen one, else of the best. */
export const winnerOf = (shown: Shown): string | undefined =>
  (withRole(shown, "y_ws", "chosen", "y_wt") ?? shown.responses.find(({ reward }) => reward !== undefined))?.source;

export const flagsIn = ({ responses }: Shown): Flag[] => [...new Set(responses.flatMap(({ flags }) => flags))];
