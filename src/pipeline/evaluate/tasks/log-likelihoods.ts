import { z } from "zod";
import type { Prompt } from "../../../evaluation/index.ts";
import { disposeModel, loadFiles, type ModelFiles, modelIdentity } from "../../../models/index.ts";
import { contentKey, DataError, type ModelRecipe } from "../../../schema/index.ts";
import { continuationLogProbs, type EncodedPair, encodePair, plainReading } from "../../../scoring/index.ts";
import type { Evaluation } from "../evaluation.ts";
import { type Failed, type Outcome, remembered } from "../remembered.ts";

export const likelihoodsSchema = z.object({
  /** Of each request of the document, in order. */
  logLikelihoods: z.array(z.number()),
  /** Tokens that its longest context lost at the beginning. */
  cut: z.number(),
});
/** What a model makes of a document. */
export type Likelihoods = z.infer<typeof likelihoodsSchema>;

export type Requests = Prompt["requests"];

/** Documents whose tokens are held at a time. */
const documentsTogether = 256;

/** Rises with every change of how figures come about. */
const version = 1;

/** Under what the ledger keeps the log-likelihoods of a document. */
export const likelihoodsKey = (identity: string, requests: Requests): string =>
  contentKey({ kind: "log-likelihoods", version, identity, requests });

/** Log-likelihoods of each document by a model on this machine: those that the ledger has, the others computed and stored as they come. */
export async function embeddedLikelihoods(
  evaluation: Evaluation,
  label: string,
  { files, recipe }: { readonly files: ModelFiles; readonly recipe: ModelRecipe },
  documents: readonly Requests[],
  budget: number,
): Promise<(Likelihoods | Failed)[]> {
  const identity = modelIdentity(files, recipe);
  return await remembered(evaluation, {
    owner: identity,
    label,
    unit: "documents",
    keys: documents.map((requests) => likelihoodsKey(identity, requests)),
    schema: likelihoodsSchema,
    work: (missing, signal) => computed(files, recipe, documents, missing, budget, signal),
  });
}

async function* computed(
  files: ModelFiles,
  recipe: ModelRecipe,
  documents: readonly Requests[],
  missing: readonly number[],
  budget: number,
  signal: AbortSignal,
): AsyncGenerator<Outcome<Likelihoods>> {
  const model = loadFiles(files, recipe);
  try {
    for (let from = 0; from < missing.length; from += documentsTogether) {
      const places: number[] = [];
      const sets: EncodedPair[][] = [];
      for (const index of missing.slice(from, from + documentsTogether)) {
        try {
          sets.push(encoded(files, documents[index]!));
          places.push(index);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
        }
      }
      for await (const { set, logProbs } of continuationLogProbs(model.decoder, sets, budget)) {
        const index = places[set]!;
        if (logProbs.every(Number.isFinite))
          yield {
            index,
            value: { logLikelihoods: [...logProbs], cut: Math.max(0, ...sets[set]!.map(({ cut }) => cut)) },
          };
        else yield { index, failure: "the model gives a log-likelihood that is no finite number" };
        if (signal.aborted) return;
      }
    }
  } finally {
    disposeModel(model);
  }
}

/** The requests of a document in tokens; a context that several of them have is encoded once. */
function encoded(files: ModelFiles, requests: Requests): EncodedPair[] {
  const reading = plainReading(files);
  const known = new Map<string, number[]>();
  const encode = (text: string) => {
    const ids = known.get(text) ?? reading.encode(text);
    known.set(text, ids);
    return ids;
  };
  return requests.map(({ context, continuation }) => encodePair({ ...reading, encode }, context, continuation));
}
