import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { generate, randomStream } from "../generation/index.ts";
import { disposeModel, type LocateOptions, openModel } from "../models/index.ts";
import { DataError, LedgerError, type Message, ModelError, modelSchema } from "../schema/index.ts";
import { runPaths } from "./run.ts";

export interface ChatOptions extends Pick<LocateOptions, "offline" | "progress"> {
  readonly temperature: number;
  readonly topP: number;
  /** Most tokens of an answer. */
  readonly maxTokens: number;
  /** Names the random streams; another one each time unless given. */
  readonly seed?: number;
}

/** A conversation with a model. */
export interface Chat {
  readonly label: string;
  /** The conversation so far. */
  readonly messages: readonly Message[];
  /**
   * Answers a turn of the user, piece by piece as the tokens come. An answer that the signal cuts off stays in the
   * conversation as far as it came. Throws DataError when the conversation has outgrown the model's context.
   */
  reply(text: string, signal: AbortSignal): AsyncGenerator<string>;
  /** Forgets the conversation. */
  reset(): void;
  close(): void;
}

/** What `chat` may be given: a run folder stands for its fused model, anything else is a model as recipes name it. */
function modelOf(reference: string): string {
  const folder = resolve(reference);
  if (!existsSync(join(folder, "run.db"))) return reference;
  const { fusedModel } = runPaths(folder);
  if (existsSync(fusedModel)) return fusedModel;
  throw new LedgerError("the run has no fused model yet", {
    file: folder,
    hint: `\`amalgam status ${reference}\` shows how far it is, \`amalgam run ${reference}\` takes it to the end.`,
  });
}

/**
 * Opens a model, or the fused model of a run folder, for a conversation.
 *
 * @throws ModelError when there is no such model or it has no chat template; LedgerError for a run without fused model.
 */
export async function openChat(reference: string, options: ChatOptions): Promise<Chat> {
  const { temperature, topP, maxTokens, seed = randomInt(2 ** 31), ...locating } = options;
  const recipe = modelSchema.parse({ model: modelOf(reference) });
  const model = await openModel(recipe, { ...locating, baseFolder: process.cwd() });
  const { tokenizer, decoder } = model;
  if (!tokenizer.hasChatTemplate) {
    disposeModel(model);
    throw new ModelError(`${model.label} has no chat template: it is a base model, not tuned for conversations`, {
      hint: "Take its instruction-tuned version.",
    });
  }
  let messages: Message[] = [];
  let turns = 0;
  return {
    label: model.label,
    get messages() {
      return messages;
    },
    async *reply(text, signal) {
      const asked: Message[] = [...messages, { role: "user", content: text }];
      const prompt = tokenizer.encodePrompt(asked);
      const room = decoder.config.maxPositions - prompt.length;
      if (room < 1) {
        throw new DataError(
          `the conversation has ${prompt.length} tokens, the context of ${model.label} ${decoder.config.maxPositions}`,
          { hint: "Begin a new one: /new" },
        );
      }
      const pieces = pieceQueue();
      const abandoned = new AbortController();
      const spelling = tokenizer.createDecoder({ skipSpecial: true });
      const settings = {
        temperature,
        topP,
        topK: 0,
        endIds: new Set(tokenizer.stopIds),
        rows: 1,
        stopper: () => (id: number) => {
          pieces.push(spelling.push(id));
          return false;
        },
      };
      const streams = [randomStream(seed, turns++)];
      const request = { prompt, streams, maxTokens: Math.min(maxTokens, room) };
      const drawing = drain(generate(decoder, [request], settings, AbortSignal.any([signal, abandoned.signal]))).then(
        () => pieces.end(spelling.end()),
        (error: unknown) => pieces.fail(error),
      );
      let answer = "";
      try {
        for await (const piece of pieces) {
          answer += piece;
          yield piece;
        }
      } finally {
        abandoned.abort();
        await drawing;
        messages = [...asked, { role: "assistant", content: answer }];
      }
    },
    reset() {
      messages = [];
    },
    close: () => disposeModel(model),
  };
}

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

interface PieceQueue extends AsyncIterable<string> {
  push(piece: string): void;
  end(last: string): void;
  fail(error: unknown): void;
}

/** Text that one side writes while the other reads it. */
function pieceQueue(): PieceQueue {
  const waiting: string[] = [];
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  let wake = () => {};
  const tell = (change: () => void) => {
    change();
    wake();
  };
  return {
    push: (piece) => tell(() => waiting.push(piece)),
    end: (last) =>
      tell(() => {
        waiting.push(last);
        ended = true;
      }),
    fail: (error) =>
      tell(() => {
        failure = { error };
      }),
    async *[Symbol.asyncIterator]() {
      while (true) {
        const text = waiting.splice(0).join("");
        if (text !== "") yield text;
        else if (failure !== undefined) throw failure.error;
        else if (ended) return;
        else
          await new Promise<void>((resume) => {
            wake = resume;
          });
      }
    },
  };
}
