import type { ModelFiles, RewardHead } from "../../models/index.ts";
import { DataError, type Message } from "../../schema/index.ts";
import type { SharedTexts } from "../shared-texts.ts";
import { markSteps, type Steps, stepPlaces } from "./steps.ts";

/** A conversation in tokens, and those whose hidden states are read. */
export interface Laid {
  readonly ids: readonly number[];
  /** The last real token; of a process reward the one after each step. */
  readonly reads: readonly number[];
  /** Where a gate looks at the prompt. */
  readonly gate?: number;
}

export interface Layout {
  readonly files: Pick<ModelFiles, "tokenizer" | "label">;
  /** Undefined for a language model, of which the step labels are read. */
  readonly head: RewardHead | undefined;
  /** Most tokens of a conversation. */
  readonly longest: number;
  readonly overlong: "fail" | "cut";
  /** ArmoRM's and QRM's gate looks at the first of these tokens, where they stand last. */
  readonly opening: { readonly text: string; readonly ids: readonly number[] } | undefined;
  readonly steps: { readonly recipe: Steps; readonly id: number } | undefined;
}

/**
 * Lays a response out behind its prompt by the model's chat template, with special tokens that are written in the texts spelled out.
 *
 * @throws DataError for what can't be scored: too long a conversation, no steps, no place for the gate
 */
export function layOut(layout: Layout, prompt: readonly Message[], response: string): Laid {
  const { files, longest, overlong, steps } = layout;
  const marked = steps === undefined ? undefined : markSteps(response, steps.recipe);
  const turns = [...prompt, { role: "assistant" as const, content: marked?.text ?? response }];
  const ids = files.tokenizer.encodeConversation(turns, {
    sanitizeContent: true,
    ...(steps === undefined ? {} : { except: steps.recipe.token.trim() }),
  });
  if (ids.length > longest && overlong === "fail")
    throw new DataError(`the conversation has ${ids.length} tokens, the context of ${files.label} ${longest}`);
  if (steps === undefined) return whole(layout, ids.slice(0, longest));
  const places = stepPlaces(ids, steps.id, marked!.count, steps.recipe.token).filter((place) => place < longest);
  const last = places.at(-1);
  if (last === undefined) throw new DataError(`no step of the response ends within ${longest} tokens`);
  return { ids: ids.slice(0, last + 1), reads: places };
}

/** The tokens up to the last real one, which is read. */
function whole({ head, longest, opening, files }: Layout, ids: readonly number[]): Laid {
  const kept = head!.endToken === null ? realOnes(ids, head!.padToken) : [...ids.slice(0, longest - 1), head!.endToken];
  const reads = [kept.length - 1];
  if (opening === undefined) return { ids: kept, reads };
  const gate = lastOccurrence(kept, opening.ids);
  if (gate < 0)
    throw new DataError(
      `nothing opens the answer as ${files.label}'s gate expects it (${JSON.stringify(opening.text)})`,
    );
  return { ids: kept, reads, gate };
}

function realOnes(ids: readonly number[], padding: number | null): readonly number[] {
  const last = ids.findLastIndex((id) => id !== padding);
  return ids.slice(0, Math.max(last, 0) + 1);
}

/** Where `pattern` begins in `ids` for the last time; -1 where it doesn't. */
function lastOccurrence(ids: readonly number[], pattern: readonly number[]): number {
  for (let at = ids.length - pattern.length; at >= 0; at--) if (pattern.every((id, k) => ids[at + k] === id)) return at;
  return -1;
}

/** Rows of a micro-batch, laid flat, that are read: those of each text in turn, then where the gate looks for each. */
export function rowsOf(batch: readonly SharedTexts[], laid: ReadonlyMap<number, Laid>) {
  const [indices, reads, gates]: [number[], number[], number[]] = [[], [], []];
  let start = 0;
  for (const { shared, endings } of batch) {
    let at = start + shared.length;
    for (const { index, ids } of endings) {
      const row = (place: number) => (place < shared.length ? start + place : at + place - shared.length);
      const text = laid.get(index)!;
      indices.push(index);
      reads.push(...text.reads.map(row));
      if (text.gate !== undefined) gates.push(row(text.gate));
      at += ids.length;
    }
    start = at;
  }
  return { indices, reads, gates };
}
